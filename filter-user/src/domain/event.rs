//! Events: the switches and changes that the history lists.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Channel;

/// The actor of a change from outside, or of a planned end.
pub const NOBODY: &str = "unknown";

/// An event of the table `sip_filter_event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Number of the event. Later events have higher numbers.
    pub id: i64,
    /// Time of the event.
    pub at: Timestamp,
    /// Host on which the change was made, or whose daemon noticed it.
    pub node: String,
    /// User who made the change; [`NOBODY`] for a change from outside, or a planned end.
    pub actor: String,
    /// Channel by which the change came: the name of a [`Channel`], or of one that only a later version has.
    pub via: String,
    /// Kind of change: `on`, `off`, `bypass.add` and the like.
    pub action: String,
    /// Host that the change is for; `None` for all.
    pub target: Option<String>,
    /// Reason.
    pub why: Option<String>,
    /// Values that were written, as a JSON object.
    pub written: serde_json::Value,
}

impl Event {
    /// Returns the user who made the change; `None` for a change from outside, or a planned end.
    pub fn who(&self) -> Option<String> {
        let is_known = self.via != Channel::Outside.name() && self.via != Channel::Planned.name();
        is_known.then(|| self.actor.clone())
    }
}
