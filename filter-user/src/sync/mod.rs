//! Sync: what the database says is kept in force, and the last known state where it says nothing.

mod command;
mod keeper;
mod report;
mod start;
mod state_file;
mod tell;

use std::future::Future;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::oneshot;

pub use self::keeper::Keeper;
pub use self::start::StartError;
use crate::dataplane;
use crate::domain::{Alarms, Change, Changed, Entry, Event, Exemption, Node, Policy, Since, Switch};
use crate::store;

/// What puts a policy in force: the data plane.
pub trait Enforcer: Send {
    /// Puts `policy` in force; it is when this returns.
    fn apply(&mut self, policy: Policy) -> impl Future<Output = Result<(), dataplane::Error>> + Send;
}

/// Where the policy in force comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The database said so, at this run of the daemon.
    Database,
    /// The state file: the database could not be read since the start.
    StateFile,
    /// Nothing is known: neither database nor state file could be read.
    Default,
}

/// What is in force, and what is wrong.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The policy in force.
    pub policy: Policy,
    /// Since when maintenance is on or off; `None` if it never changed.
    pub since: Option<Since>,
    /// Where the policy comes from.
    pub source: Source,
    /// Whether the database can be read now.
    pub reachable: bool,
    /// When it was last read; `None` for never.
    pub read: Option<Timestamp>,
    /// Whether the policy's flag is this host's own, of the row `maint@NODE`.
    pub own_flag: bool,
    /// What is wrong.
    pub alarms: Alarms,
}

/// Where the answer to a command goes.
pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Something that the keeper is asked to do; the answer has what is in force then.
#[derive(Debug)]
pub enum Command {
    /// Write a switch and put it in force. The number is that of its event.
    Switch(Switch, Reply<(i64, Snapshot)>),
    /// Add or remove exemptions and put that in force.
    Change(Change, Reply<(Changed, Snapshot)>),
    /// Read the database now and apply it, changed or not.
    Reload(Reply<Snapshot>),
    /// Read the entries of a table of exemptions, with who added them and why.
    List(Exemption, Reply<Vec<Entry>>),
    /// Read the last events, so many at most, the newest first.
    History(u32, Reply<Vec<Event>>),
    /// Read which hosts share the database.
    Nodes(Reply<Vec<Node>>),
    /// Tell the other hosts that this one stops, and end.
    End(oneshot::Sender<()>),
}

/// Why the keeper could not do what it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// What was asked for is wrong: nothing has changed.
    #[error("{0}")]
    Refused(#[source] store::Error),
    /// Not written: nothing has changed.
    #[error("the database could not be written, nothing has changed: {0}")]
    NotWritten(#[source] store::Error),
    /// Not read.
    #[error("the database could not be read, the last known policy holds: {0}")]
    NotRead(#[source] store::Error),
    /// Written, and then not read.
    #[error(
        "it is written, but the database could not be read back, so the last known policy holds until it can be: {0}"
    )]
    NotReadBack(#[source] store::Error),
    /// Written, but not in force: the daemon ends.
    #[error("the policy could not be put in force, the daemon ends: {0}")]
    NotInForce(String),
}

#[cfg(test)]
mod tests;
