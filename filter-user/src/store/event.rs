//! A switch, as it is asked for and as the event table remembers it: who, when, why.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{NodeName, rows};
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
    /// Into the policy table, by other means (SQL, Kamailio): a daemon has seen it.
    Outside,
    /// By itself, at its planned end.
    Planned,
}

impl Via {
    /// As the event table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Database => "database",
            Self::Outside => "outside",
            Self::Planned => "planned",
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

/// Which hosts a switch is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Row `maint`: all hosts but those that have a row of their own.
    #[default]
    Cluster,
    /// Row `maint`, and no host has a row of its own any more.
    Everywhere,
    /// Row `maint@NODE`: this host, whatever `maint` says.
    Node(NodeName),
}

impl Scope {
    /// The host, if it is only one.
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Cluster | Self::Everywhere => None,
            Self::Node(node) => Some(node),
        }
    }

    fn key(&self) -> String {
        self.node().map_or_else(|| rows::MAINT.to_owned(), rows::key_of)
    }
}

/// A switch that somebody asks for. Only what is given is written; the other rows stay as they are.
#[derive(Clone, Debug)]
pub struct Switch {
    /// On or off.
    pub action: Action,
    /// Of which hosts.
    pub scope: Scope,
    /// Row `maint_until`: when maintenance ends by itself, for all hosts.
    pub until: Option<Timestamp>,
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
    /// A switch that writes nothing but the flag.
    pub fn new(action: Action, scope: Scope, origin: Origin) -> Self {
        Self {
            action,
            scope,
            until: None,
            code: None,
            reason: None,
            retry_after: None,
            percent: None,
            methods: None,
            origin,
        }
    }

    /// The rows to write: `key_name` and `key_value`.
    pub fn rows(&self) -> Vec<(String, String)> {
        let flag = match self.action {
            Action::On => "1",
            Action::Off => "0",
        };
        let mut rows = vec![(self.scope.key(), flag.to_owned())];
        let mut row = |key: &str, value: Option<String>| rows.extend(value.map(|value| (key.to_owned(), value)));
        row(rows::MAINT_CODE, self.code.map(|code| code.to_string()));
        row(rows::MAINT_REASON, self.reason.clone());
        row(rows::MAINT_RETRY_AFTER, self.retry_after.map(|seconds| seconds.to_string()));
        row(rows::MAINT_PERCENT, self.percent.map(|percent| percent.to_string()));
        row(rows::MAINT_METHODS, self.methods.map(|methods| methods.to_string()));
        row(rows::MAINT_UNTIL, self.until.map(|until| until.as_second().to_string()));
        rows
    }
}

/// An event of `sip_filter_event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Number of the event, rising.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Host on which it was done, or whose daemon has seen it.
    pub node: String,
    /// User who did it; `unknown` if it was seen from outside.
    pub actor: String,
    /// By which way it came: a name of [`Via`], or what a later version has put there.
    pub via: String,
    /// What was done: `on`, `off`, `bypass.add` and the like.
    pub action: String,
    /// Of which host alone; `None`: of all.
    pub target: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// What was written, as a JSON object.
    pub written: serde_json::Value,
}

/// The actor of an event that was seen from outside, or that nobody has done.
pub const NOBODY: &str = "unknown";

impl Event {
    /// The user who did it; `None` if it came from outside, or by itself.
    pub fn who(&self) -> Option<String> {
        let known = self.via != Via::Outside.name() && self.via != Via::Planned.name();
        known.then(|| self.actor.clone())
    }
}
