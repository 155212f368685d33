//! The scope of maintenance: the new calls that it is about, if these are not all.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Destination, Prefix};

/// The new calls that maintenance is about. All others pass.
///
/// A policy without a scope is about all new calls. A scope without entries is something else: its tables have entries,
/// but none that can be used, and it is about no call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Prefixes of callers; table `sip_filter_scope_source`.
    pub sources: BTreeSet<Prefix>,
    /// Addresses to which calls come; table `sip_filter_scope_destination`.
    pub destinations: BTreeSet<Destination>,
}

impl Scope {
    /// Returns whether the scope is about no call.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.destinations.is_empty()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count, noun| match count {
            0 => None,
            1 => Some(format!("1 {noun}")),
            _ => Some(format!("{count} {noun}s")),
        };
        match (counted(self.sources.len(), "source"), counted(self.destinations.len(), "destination")) {
            (None, None) => f.write_str("nothing"),
            (Some(entries), None) | (None, Some(entries)) => f.write_str(&entries),
            (Some(sources), Some(destinations)) => write!(f, "{sources}, {destinations}"),
        }
    }
}
