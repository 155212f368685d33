//! A switch, as it is asked for and as the event table remembers it: who, when, why.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::rows;
use crate::policy::Methods;

/// What a switch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Maintenance begins.
    On,
    /// Maintenance ends.
    Off,
}

impl Action {
    /// As the event table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// By which way a switch came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Through the control socket of a daemon.
    Daemon,
    /// Into the database, by a command that found no daemon.
    Database,
}

impl Via {
    /// As the event table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Database => "database",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A reason that cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("why is at most {max} bytes, without line breaks and other control characters", max = Origin::MAX_WHY)]
pub struct InvalidWhy;

/// Where a change comes from: what the event table remembers of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The user.
    pub actor: String,
    /// Why, in the person's own words.
    pub why: Option<String>,
    /// By which way it came.
    pub via: Via,
    /// Name of this host.
    pub node: String,
}

impl Origin {
    /// The longest reason in bytes.
    pub const MAX_WHY: usize = 1000;

    /// Reads a reason. It goes into logs and onto terminals: no control characters.
    pub fn parse_why(text: &str) -> Result<String, InvalidWhy> {
        let fits = text.len() <= Self::MAX_WHY && !text.contains(char::is_control);
        if fits { Ok(text.to_owned()) } else { Err(InvalidWhy) }
    }
}

/// A switch that somebody asks for. Only what is given is written; the other rows stay as they are.
#[derive(Clone, Debug)]
pub struct Switch {
    /// On or off.
    pub action: Action,
    /// Row `maint_code`, 400 to 699.
    pub code: Option<u16>,
    /// Row `maint_reason`.
    pub reason: Option<String>,
    /// Row `maint_retry_after`, seconds.
    pub retry_after: Option<u32>,
    /// Row `maint_percent`, 1 to 100.
    pub percent: Option<u8>,
    /// Row `maint_methods`.
    pub methods: Option<Methods>,
    /// Who asks for it, and why.
    pub origin: Origin,
}

impl Switch {
    /// The rows to write: `key_name` and `key_value`.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let flag = match self.action {
            Action::On => "1",
            Action::Off => "0",
        };
        let mut rows = vec![(rows::MAINT, flag.to_owned())];
        rows.extend(self.code.map(|code| (rows::MAINT_CODE, code.to_string())));
        rows.extend(self.reason.clone().map(|reason| (rows::MAINT_REASON, reason)));
        rows.extend(self.retry_after.map(|seconds| (rows::MAINT_RETRY_AFTER, seconds.to_string())));
        rows.extend(self.percent.map(|percent| (rows::MAINT_PERCENT, percent.to_string())));
        rows.extend(self.methods.map(|methods| (rows::MAINT_METHODS, methods.to_string())));
        rows
    }
}

/// A switch in `sip_filter_event`, as far as the daemon needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Number of the event, rising.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// User who switched it.
    pub actor: String,
    /// Whether it was switched on or off.
    pub action: Action,
    /// Why.
    pub why: Option<String>,
}
