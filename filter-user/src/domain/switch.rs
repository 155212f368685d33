//! A requested switch of maintenance.

use std::fmt;

use filter_reply::{ReasonPhrase, RetryAfter, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Methods, NodeName, Origin, Percent};

/// The direction of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Maintenance begins.
    On,
    /// Maintenance ends.
    Off,
}

impl Action {
    /// Returns the name in the event table and in the control protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The hosts that a switch is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hosts {
    /// All hosts without a row of their own: row `maint`.
    #[default]
    Cluster,
    /// All hosts: row `maint`, and the rows `maint@NODE` are deleted.
    All,
    /// One host, regardless of `maint`: row `maint@NODE`.
    One(NodeName),
}

impl Hosts {
    /// Returns the host if the switch is for one host only.
    pub const fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Cluster | Self::All => None,
            Self::One(node) => Some(node),
        }
    }
}

/// The error of naming one host and all hosts in the same switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node and all exclude each other: one host, or all")]
pub struct InvalidHosts;

/// A requested switch.
///
/// Only the rows of values that are given are written; the others do not change.
#[derive(Clone, Debug)]
pub struct Switch {
    /// On or off.
    pub action: Action,
    /// Hosts that are switched.
    pub hosts: Hosts,
    /// Planned end of maintenance, for all hosts; row `maint_until`.
    pub until: Option<Timestamp>,
    /// Status code; row `maint_code`.
    pub code: Option<StatusCode>,
    /// Reason phrase; row `maint_reason`.
    pub reason: Option<ReasonPhrase>,
    /// `Retry-After`; row `maint_retry_after`.
    pub retry_after: Option<RetryAfter>,
    /// Share of new calls that is refused; row `maint_percent`.
    pub percent: Option<Percent>,
    /// Requests that are refused; row `maint_methods`.
    pub methods: Option<Methods>,
    /// Origin of the request.
    pub origin: Origin,
}

impl Switch {
    /// Creates a switch that writes only the flag.
    pub const fn new(action: Action, hosts: Hosts, origin: Origin) -> Self {
        Self {
            action,
            hosts,
            until: None,
            code: None,
            reason: None,
            retry_after: None,
            percent: None,
            methods: None,
            origin,
        }
    }
}
