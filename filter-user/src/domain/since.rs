//! The last change of maintenance: when, by whom and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The time at which maintenance began or ended, with who switched it and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Time of the switch.
    pub at: Timestamp,
    /// User; `None` if the row was changed from outside (SQL, Kamailio), or the planned end has passed.
    pub who: Option<String>,
    /// Reason, if one was given.
    pub why: Option<String>,
}
