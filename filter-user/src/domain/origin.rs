//! The origin of a change: who made it, how, where and why.

use serde::{Deserialize, Serialize};

use super::Why;

/// The channel by which a change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The control socket of a daemon.
    Daemon,
    /// The database, written by a command that found no daemon.
    Database,
    /// The policy table, changed by other means (SQL, Kamailio) and noticed by a daemon.
    Outside,
    /// The planned end of maintenance, which has passed.
    Planned,
}

impl Channel {
    /// Returns the name in the column `via` of the event table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Database => "database",
            Self::Outside => "outside",
            Self::Planned => "planned",
        }
    }
}

/// The origin of a change, as the event table records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// User who made the change.
    pub actor: String,
    /// Reason, in the person's own words.
    pub why: Option<Why>,
    /// Channel by which the change came.
    pub channel: Channel,
    /// Name of the host on which it was made.
    pub node: String,
}
