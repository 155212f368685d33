//! The hosts that share a database: the report of each, and the row that the others read.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A daemon's report of its own state to the other hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// Names of its interfaces, separated by commas.
    pub interfaces: String,
    /// True while it refuses new calls.
    pub maintenance: bool,
    /// Policy in force, for people.
    pub state: String,
    /// Last event that it had seen when it put that policy in force.
    pub event: i64,
    /// Time at which it put that policy in force.
    pub applied: Timestamp,
}

/// A host, as its row in the table `sip_filter_node` describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Name of the host.
    pub node: String,
    /// Names of its interfaces, separated by commas.
    pub interfaces: String,
    /// Version of its daemon.
    pub version: String,
    /// True while it refuses new calls.
    pub maintenance: bool,
    /// Policy in force, for people.
    pub state: String,
    /// Last event that it had seen when it put that policy in force.
    pub event: i64,
    /// Time at which it put that policy in force, by its own clock.
    pub applied: Timestamp,
    /// Age of its last heartbeat in milliseconds, by the database's clock.
    pub heard_ms: i64,
    /// True if its daemon runs: it has not stopped cleanly, and its last heartbeat is younger than [`Node::ALIVE`].
    pub alive: bool,
}

impl Node {
    /// Heartbeat interval.
    pub const HEARTBEAT: Duration = Duration::from_secs(5);
    /// Age of the last heartbeat at which a host counts as dead: three intervals.
    pub const ALIVE: Duration = Duration::from_secs(15);
}
