//! The control protocol: the types of its requests and replies, for the daemon and its clients.
//!
//! Both sides serialize and deserialize the same types, so that they cannot drift apart. The contract is
//! `docs/manual/control-protocol.md`, whose examples a test compares with the replies of a daemon.
#![forbid(unsafe_code)]

mod error;
pub mod jsonrpc;
mod methods;
mod reply;
mod request;

pub use self::error::{Code, Error};
pub use self::methods::{Method, Request, method};
pub use self::reply::{
    Alarm, Cause, ChangedEntries, Database, DestinationEntry, Edited, Entries, EntryState, Events, InForce, Listed,
    Nodes, PrefixEntry, Reply, Status, Switched, UserEntry,
};
pub use self::request::{
    EventLimit, History, InvalidEventLimit, InvalidScopeEntries, NoParams, Off, On, Prefixes, Remark, ScopeEntries,
    TargetHosts, Users,
};

/// Maximum length of a request in bytes, LF included.
pub const MAX_REQUEST_LEN: usize = 64 << 10;
