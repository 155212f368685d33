//! The replies of the methods.
//!
//! A client ignores unknown members, keeps unknown counters and kinds of alarms, and reads an unknown word as
//! `Unknown`, so that it works with a daemon of a later version.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::dataplane::{Counters, InterfaceStatus};
use crate::domain::{self, Changed, Edit, EntryList, Event, ListKind, Node, NodeName, Policy, Raised, Since};
use crate::kamailio;
use crate::sync::Source;

/// A reply of any method.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is named after its type")]
pub enum Reply {
    InForce(InForce),
    Switched(Switched),
    Status(Box<Status>),
    Counters(Counters),
    Events(Events),
    Nodes(Nodes),
    Listed(Listed),
    Edited(Edited),
}

/// The policy in force and the alarms: the reply to `reload`, and a part of other replies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InForce {
    /// Policy in force.
    pub policy: Policy,
    /// Last change of maintenance on this host; `None` if it never changed.
    pub since: Option<Since>,
    /// Alarms that are raised.
    pub alarms: Vec<Alarm>,
}

/// The reply to `on` and `off`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Switched {
    /// State after the switch.
    #[serde(flatten)]
    pub in_force: InForce,
    /// Number of the event. A host has applied the switch when its `event` in `nodes` is at least this number.
    pub event: i64,
}

/// The reply to `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Policy in force and alarms.
    #[serde(flatten)]
    pub in_force: InForce,
    /// True if an alarm is raised, or if a queue has no responder while maintenance is on.
    pub degraded: bool,
    /// Origin of the policy.
    pub source: Source,
    /// True if the policy's flag comes from this host's own row `maint@NODE`.
    #[serde(default)]
    pub own_flag: bool,
    /// Local Kamailio; `None` without one.
    pub kamailio: Option<kamailio::Status>,
    /// Database.
    pub database: Database,
    /// Interfaces with their queues.
    pub interfaces: Vec<InterfaceStatus>,
    /// Counters of the XDP program and of the responders.
    #[serde(flatten)]
    pub counters: Counters,
    /// UDP ports of the proxy.
    pub ports: Vec<u16>,
    /// Version of the daemon.
    pub version: String,
    /// Name of this host.
    pub node: NodeName,
    /// Process id of the daemon.
    pub pid: u32,
    /// Time at which the daemon started.
    pub started: Timestamp,
}

/// The database in the reply to `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// URL without the password.
    pub url: String,
    /// Policy table.
    pub table: String,
    /// True if the database can be read now.
    pub reachable: bool,
    /// Time at which the rows were last read; `None` for never.
    pub read: Option<Timestamp>,
}

/// An alarm that is raised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// Time at which it was raised.
    pub since: Timestamp,
    /// Description for people.
    pub text: String,
    /// Kind of alarm, with the members of this kind.
    #[serde(flatten)]
    pub cause: Cause,
}

/// The cause of an alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cause {
    /// A cause that this version knows.
    Known(domain::Alarm),
    /// The members of an alarm of a later version.
    Unknown(Map<String, Value>),
}

/// The reply to `history`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Events {
    /// Events, the newest first.
    pub events: Vec<Event>,
}

/// The reply to `nodes`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nodes {
    /// Hosts, ordered by name.
    pub nodes: Vec<Node>,
}

/// The reply to `bypass.list`, `emergency.list` and `scope.list`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Entries in the database; those in force while the database is down.
    #[serde(flatten)]
    pub entries: Entries,
    /// Alarms that are raised.
    pub alarms: Vec<Alarm>,
}

/// The entries of the lists of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entries {
    /// Of the bypass list.
    Bypass {
        /// Bypass prefixes.
        prefixes: Vec<PrefixEntry>,
    },
    /// Of the emergency list.
    Emergency {
        /// Emergency numbers.
        users: Vec<UserEntry>,
    },
    /// Of the scope.
    Scope {
        /// Prefixes of callers.
        sources: Vec<PrefixEntry>,
        /// Addresses to which calls come.
        destinations: Vec<DestinationEntry>,
    },
}

/// An entry of a list of prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixEntry {
    /// Prefix, as written in the table.
    pub prefix: String,
    /// State and origin of the entry.
    #[serde(flatten)]
    pub state: EntryState,
}

/// An entry of the emergency list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEntry {
    /// User part of a Request-URI, as written in the table.
    pub user: String,
    /// State and origin of the entry.
    #[serde(flatten)]
    pub state: EntryState,
}

/// A destination of the scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationEntry {
    /// Address with or without a port, as written in the table.
    pub address: String,
    /// State and origin of the entry.
    #[serde(flatten)]
    pub state: EntryState,
}

/// The state and the origin of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryState {
    /// True if the entry is in force now.
    pub in_force: bool,
    /// Reason why it cannot be used; `None` if it can.
    pub problem: Option<String>,
    /// Reason why it was added.
    pub why: Option<String>,
    /// User who added it; `None` if it was not added by one of our commands.
    pub who: Option<String>,
    /// Time at which it was added.
    pub at: Option<Timestamp>,
}

/// The reply to the methods that change a list: `bypass.add` and so on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Edited {
    /// State after the change.
    #[serde(flatten)]
    pub in_force: InForce,
    /// Entries that were changed, and those that were not.
    #[serde(flatten)]
    pub entries: ChangedEntries,
}

/// The entries of a change, in canonical spelling: those that were changed, and those that were not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChangedEntries {
    /// Entries were added.
    Added {
        /// Entries that are new.
        added: Vec<String>,
        /// Entries that were already in the table.
        present: Vec<String>,
    },
    /// Entries were removed.
    Removed {
        /// Entries that were in the table.
        removed: Vec<String>,
        /// Entries that were not in the table.
        absent: Vec<String>,
    },
}

impl From<&Raised> for Alarm {
    fn from(raised: &Raised) -> Self {
        Self { since: raised.since, text: raised.text.clone(), cause: Cause::Known(raised.alarm.clone()) }
    }
}

impl Entries {
    /// Creates the reply from the entries of the lists of `kind`. Without a daemon there is no `policy`, and no entry
    /// is in force.
    pub fn new(kind: ListKind, entries: &[domain::Entry], policy: Option<&Policy>) -> Self {
        let of = |list| entries.iter().filter(move |entry| entry.list == list);
        let state = |entry: &domain::Entry| EntryState {
            in_force: policy.is_some_and(|policy| entry.is_in(policy)),
            problem: entry.problem(),
            why: entry.why.clone(),
            who: entry.actor.clone(),
            at: entry.at,
        };
        let prefix = |entry: &domain::Entry| PrefixEntry { prefix: entry.text.clone(), state: state(entry) };
        let user = |entry: &domain::Entry| UserEntry { user: entry.text.clone(), state: state(entry) };
        let address = |entry: &domain::Entry| DestinationEntry { address: entry.text.clone(), state: state(entry) };
        match kind {
            ListKind::Bypass => Self::Bypass { prefixes: of(EntryList::Bypass).map(prefix).collect() },
            ListKind::Emergency => Self::Emergency { users: of(EntryList::Emergency).map(user).collect() },
            ListKind::Scope => Self::Scope {
                sources: of(EntryList::ScopeSource).map(prefix).collect(),
                destinations: of(EntryList::ScopeDestination).map(address).collect(),
            },
        }
    }
}

impl ChangedEntries {
    /// Creates the part of the reply from the result of a change.
    pub fn new(edit: Edit, Changed { changed, unchanged, .. }: Changed) -> Self {
        match edit {
            Edit::Add => Self::Added { added: changed, present: unchanged },
            Edit::Remove => Self::Removed { removed: changed, absent: unchanged },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Alarm, Cause, InForce};
    use crate::dataplane::{AttachMode, InterfaceStatus, SocketMode};
    use crate::sync::Source;
    use crate::{domain, kamailio};

    #[test]
    fn alarm_of_a_kind_that_a_later_version_added_is_kept() {
        let later = json!({"kind": "clock_skew", "seconds": 7, "since": "2026-11-24T14:01:00Z", "text": "7 s ahead"});
        let alarm: Alarm = serde_json::from_value(later.clone()).unwrap();
        assert_eq!(alarm.text, "7 s ahead");
        assert!(matches!(&alarm.cause, Cause::Unknown(members) if members["kind"] == "clock_skew"), "{alarm:?}");
        assert_eq!(serde_json::to_value(alarm).unwrap(), later);
    }

    #[test]
    fn word_that_a_later_version_added_is_unknown() {
        let later = json!("later");
        assert_eq!(serde_json::from_value::<Source>(later.clone()).unwrap(), Source::Unknown);
        assert_eq!(serde_json::from_value::<kamailio::State>(later.clone()).unwrap(), kamailio::State::Unknown);
        assert_eq!(serde_json::from_value::<AttachMode>(later.clone()).unwrap(), AttachMode::Unknown);
        assert_eq!(serde_json::from_value::<SocketMode>(later).unwrap(), SocketMode::Unknown);
    }

    #[test]
    fn name_of_a_mode_is_that_in_json() {
        for mode in [AttachMode::Native, AttachMode::Generic, AttachMode::Offloaded, AttachMode::Multiple] {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
        for mode in [SocketMode::Copy, SocketMode::ZeroCopy] {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
    }

    #[test]
    fn interface_of_a_daemon_that_calls_unanswered_requests_refused_can_be_read() {
        let queue = json!({"queue": 0, "socket": "copy", "cpu": null, "busy_poll": null, "lease_remaining_ms": null,
            "answered": 5, "refused": {"no_via": 2}, "lost": 0, "send_errors": 0,
            "frames": {"free": 1, "receiving": 2, "sending": 3}});
        let interface = json!({"name": "eth0", "ifindex": 2, "mode": "native", "program": 17, "queues": [queue]});
        let interface: InterfaceStatus = serde_json::from_value(interface).unwrap();
        assert_eq!(interface.queues[0].unanswered["no_via"], 2);
    }

    #[test]
    fn member_that_a_later_version_added_is_ignored() {
        let refusal = json!({"code": 503, "reason": "Maintenance", "retry_after": 30, "later": 1});
        let alarm = json!({"kind": "tag_changed", "since": "2026-11-24T14:01:00Z", "text": "restart", "later": 1});
        let reply = json!({
            "policy": {"maintenance": true, "refusal": refusal, "later": 1},
            "since": null,
            "alarms": [alarm],
            "later": 1,
        });
        let in_force: InForce = serde_json::from_value(reply).unwrap();
        assert!(in_force.policy.maintenance);
        assert_eq!(in_force.alarms[0].cause, Cause::Known(domain::Alarm::TagChanged));
    }
}
