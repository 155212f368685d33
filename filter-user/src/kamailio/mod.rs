//! Kamailio beside us: what never passes XDP (TCP, TLS, WebSocket) is refused by Kamailio's own script, which is told.
//!
//! The flag is one key of an htable in Kamailio's memory. It is set over the datagram socket of Kamailio's module
//! `jsonrpcs`, looked at every two seconds, since a Kamailio that starts again has lost it, and set again if it differs.

mod error;
mod exchange;
mod follower;
mod message;
mod status;
mod target;

pub use self::error::Error;
pub use self::follower::{Follower, Teller};
pub use self::status::{State, Status};
pub use self::target::{HtableName, InvalidTarget, Socket, Target};
