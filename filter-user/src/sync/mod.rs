//! Sync: keeps the policy of the database in force, and the last known one while the database is down.
//!
//! The [`Keeper`] is one task. Its parts are the connection to the database (`database`), the policy in force with the
//! state file (`in_force`, `state_file`), and the reports to the other hosts (`peers`).
#![forbid(unsafe_code)]

mod command;
mod database;
mod error;
mod in_force;
mod keeper;
mod peers;
mod pending;
mod report;
mod start;
mod state_file;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::command::{Command, Reply};
pub use self::error::{Error, NotInForce, StartError};
pub use self::keeper::Keeper;
use crate::dataplane;
use crate::domain::{Alarms, Policy, Since};

/// Puts policies in force: the data plane, or a substitute in tests.
pub trait Enforcer: Send {
    /// Puts `policy` in force. When the future is ready, the next packet is treated by it.
    fn apply(&mut self, policy: Arc<Policy>) -> impl Future<Output = Result<(), dataplane::Error>> + Send;
}

/// Origin of the policy in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The database, read since the start of the daemon.
    Database,
    /// The state file: the database has not been readable since the start.
    StateFile,
    /// The default: neither the database nor the state file could be read.
    Default,
    /// An origin that a daemon of a later version reports.
    #[serde(other)]
    Unknown,
}

/// The state of the keeper at one moment: what is in force, and the alarms.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Policy in force.
    pub policy: Arc<Policy>,
    /// Last switch of maintenance; `None` if there has been none.
    pub since: Option<Since>,
    /// Origin of the policy.
    pub source: Source,
    /// True if the database can be read now.
    pub reachable: bool,
    /// Time of the last reading of the database; `None` before the first.
    pub read: Option<Timestamp>,
    /// True if the flag is this host's own, of the row `maint@NODE`.
    pub own_flag: bool,
    /// The keeper's alarms.
    pub alarms: Alarms,
}
