//! Alarms: the faults that need an operator, each raised until it is fixed.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::VariantNames as _;
use tracing::{info, warn};

/// The cause of an alarm. Equal causes are one alarm, so that each is logged once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumDiscriminants)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[strum_discriminants(name(AlarmKind), vis(), derive(strum::IntoStaticStr, strum::VariantNames))]
#[strum_discriminants(strum(serialize_all = "snake_case"), doc = "The kinds of alarms.")]
pub enum Alarm {
    /// The database cannot be read. The last known policy stays in force.
    Database {
        /// URL without the password.
        database: String,
        /// Error.
        error: String,
    },
    /// The value of a row cannot be used. The last good value of this key stays in force.
    BadValue {
        /// `key_name` of the row.
        key: String,
        /// `key_value` of the row; `None` for NULL.
        value: Option<String>,
        /// Description of a valid value.
        expected: String,
    },
    /// A row has `key_type` 1, an array to Kamailio. The last good value of this key stays in force.
    ArrayRow {
        /// `key_name` of the row.
        key: String,
    },
    /// Several rows have the same key. The last good value of this key stays in force.
    Duplicate {
        /// `key_name` of the rows.
        key: String,
        /// Number of rows.
        rows: usize,
    },
    /// Entries of a list cannot be used. The other entries apply.
    BadEntries {
        /// Name of the table.
        table: String,
        /// Number of entries that cannot be used.
        entries: usize,
        /// First of these entries, as written in the table.
        first: String,
        /// Reason why it cannot be used.
        problem: String,
    },
    /// A list has more entries than can be in force. The last good ones stay in force.
    TooManyEntries {
        /// Name of the table.
        table: String,
        /// Number of entries; for a list of prefixes, of the address family that has too many.
        entries: usize,
        /// Maximum number of entries.
        most: usize,
    },
    /// The scope has entries, but none that can be used. Nothing is in scope, so maintenance refuses no call.
    EmptyScope,
    /// The state file cannot be read or written: after a reboot during an outage, the policy would be unknown.
    StateFile {
        /// Path of the file.
        path: String,
        /// Error.
        error: String,
    },
    /// The cluster's secret for To tags differs from the one that this daemon started with.
    TagChanged,
    /// The database rejects writes: the other hosts do not know what is in force on this one.
    Unwritable {
        /// Error.
        error: String,
    },
    /// The flag cannot be set in Kamailio, or cannot be read from it. The daemon keeps trying.
    Kamailio {
        /// Path of Kamailio's socket.
        socket: String,
        /// Error.
        error: String,
    },
    /// Calls on an interface, or on some of its queues, are not refused.
    Interface {
        /// Name of the interface, as `--iface` or the kernel has it.
        interface: String,
        /// Error.
        error: String,
    },
    /// The interfaces and addresses cannot be read. The last known ones stay in force.
    Network {
        /// Error.
        error: String,
    },
    /// This host has more addresses than can be shielded. The last known ones stay in force.
    TooManyAddresses {
        /// Number of addresses.
        addresses: usize,
        /// Maximum number of addresses.
        most: usize,
    },
    /// The MTU is larger than what the driver can handle while the XDP program is attached in native mode.
    Mtu {
        /// Name of the interface.
        interface: String,
        /// MTU in bytes.
        mtu: u32,
        /// Largest possible MTU in bytes.
        most: u32,
    },
    /// Calls pass because they may have lost their VLAN tag, which the response would need.
    VlanStripped {
        /// Name of the interface.
        interface: String,
        /// Command that makes the NIC leave the tags in the frames; `None` for a virtual interface.
        fix: Option<String>,
    },
    /// The responder of a queue has no valid lease, so that its new calls pass.
    NoLease {
        /// Name of the interface.
        interface: String,
        /// RX queue, from 0.
        queue: u32,
    },
    /// The kernel sends none of the responses of a queue, which has given up its lease.
    CannotSend {
        /// Name of the interface.
        interface: String,
        /// RX queue, from 0.
        queue: u32,
    },
    /// New calls pass although each queue that is known has a responder with a lease.
    Unserved,
    /// Kamailio rewrites the policy table when it stops (`dbmode=1`).
    KamailioRewrites {
        /// Name of the htable.
        htable: String,
        /// Table that Kamailio writes.
        table: String,
    },
}

impl Alarm {
    /// All kinds, as [`Self::kind`] names them.
    pub const KINDS: &[&'static str] = AlarmKind::VARIANTS;

    /// Returns the kind of alarm, as the control protocol names it.
    pub fn kind(&self) -> &'static str {
        AlarmKind::from(self).into()
    }
}

impl Alarm {
    /// Writes the alarms of the data plane for people.
    fn fmt_data_plane(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface { interface: _, error } => write!(f, "{error}; new calls on it go to the proxy"),
            Self::Network { error } => write!(f, "{error}; those that were known last stay in force"),
            Self::TooManyAddresses { addresses, most } => write!(
                f,
                "this host has {addresses} addresses and broadcast addresses, but at most {most} can be shielded; the \
                 last known ones stay in force; name prefixes with --address"
            ),
            Self::Mtu { interface, mtu, most } => write!(
                f,
                "interface {interface}: its MTU is {mtu} now, and while the XDP program is on it, its driver loses \
                 longer frames than {most} bytes, and above 4064 cannot even let the program go; type `ip link set \
                 {interface} mtu {most}`"
            ),
            Self::VlanStripped { interface, fix: Some(fix) } => write!(
                f,
                "interface {interface}: its NIC takes VLAN tags out of the frames, so that new calls to addresses of \
                 its VLANs go to the proxy; type `{fix}`"
            ),
            Self::VlanStripped { interface, fix: None } => write!(
                f,
                "interface {interface}: a virtual interface shows no VLAN tags, so that new calls to addresses of its \
                 VLANs go to the proxy; name the VLAN device itself with --iface"
            ),
            Self::NoLease { interface, queue } => write!(
                f,
                "interface {interface}, queue {queue}: its responder makes no progress, so that its new calls go to \
                 the proxy; if this does not end, restart the daemon"
            ),
            Self::CannotSend { interface, queue } => write!(
                f,
                "interface {interface}, queue {queue}: the kernel sends none of its responses, so that its new calls \
                 go to the proxy; check the link, and use the interface below if it is an ipvlan or another virtual one"
            ),
            Self::Unserved => f.write_str(
                "new calls go to the proxy although each known queue has a responder: packets arrive on queues that \
                 sip-filter does not know; restart the daemon, and report this",
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { database, error } => {
                write!(f, "database {database} cannot be read: {error}; the last known policy stays in force")
            }
            Self::BadValue { key, value, expected } => {
                let value = value.as_deref().map_or_else(|| "NULL".into(), |value| format!("{value:?}"));
                write!(f, "row {key} is {value}, but {expected}; the last good value stays in force")
            }
            Self::ArrayRow { key } => write!(
                f,
                "row {key} has key_type 1, an array to Kamailio: set it to 0; the last good value stays in force"
            ),
            Self::Duplicate { key, rows } => {
                write!(f, "{rows} rows have the key {key}, delete all but one; the last good value stays in force")
            }
            Self::BadEntries { table, entries, first, problem } => {
                let entries = if *entries == 1 { "1 entry".into() } else { format!("{entries} entries") };
                write!(f, "{entries} of {table} cannot be used (the others apply); the first is {first:?}: {problem}")
            }
            Self::TooManyEntries { table, entries, most } => write!(
                f,
                "{table} has {entries} entries, but at most {most} can be in force; the last good ones stay in force"
            ),
            Self::EmptyScope => f.write_str(
                "the scope has entries, but none that can be used, so nothing is in scope and no call is refused; \
                 `sip-filter scope list` shows the entries: correct one, or remove all to refuse all new calls",
            ),
            Self::StateFile { path, error } => write!(f, "state file {path}: {error}"),
            Self::TagChanged => f.write_str(
                "the cluster's secret for To tags in the database is not the one in use; restart the daemon to use it",
            ),
            Self::Unwritable { error } => write!(
                f,
                "the database can be read, but rejects writes from this host, so that history, nodes and --wait lack \
                 its reports: {error}"
            ),
            Self::Kamailio { socket, error } => write!(
                f,
                "the flag cannot be set in Kamailio at {socket}, or cannot be read from it, so that Kamailio treats \
                 new calls over TCP, TLS and WebSocket by the flag that it already has: {error}"
            ),
            Self::Interface { .. }
            | Self::Network { .. }
            | Self::TooManyAddresses { .. }
            | Self::Mtu { .. }
            | Self::VlanStripped { .. }
            | Self::NoLease { .. }
            | Self::CannotSend { .. }
            | Self::Unserved => self.fmt_data_plane(f),
            Self::KamailioRewrites { htable, table } => write!(
                f,
                "Kamailio's htable {htable} has dbmode=1: when Kamailio stops, it replaces all rows of {table} by \
                 those that it has in memory, which undoes every switch in the meantime; set dbmode=0"
            ),
        }
    }
}

/// The subject of an alarm: the part of the daemon that raises and clears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The connection to the database.
    Database,
    /// The policy rows and the lists.
    Rows,
    /// The state file.
    StateFile,
    /// The cluster's secret for To tags.
    Tag,
    /// The reports to the other hosts.
    Reports,
    /// The local Kamailio.
    Kamailio,
    /// The interfaces and their queues.
    DataPlane,
}

/// An alarm that is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    subject: Subject,
    /// Time at which it was raised.
    pub since: Timestamp,
    /// Cause.
    pub alarm: Alarm,
    /// Cause, for people.
    pub text: String,
}

/// The alarms that are raised. Each is logged when it is raised and when it ends.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    raised: Vec<Raised>,
}

impl Alarms {
    /// Sets the alarms of `subject`: raises those that are new, and ends those that are not among `alarms`.
    pub fn set(&mut self, subject: Subject, alarms: impl IntoIterator<Item = Alarm>) {
        let alarms: Vec<Alarm> = alarms.into_iter().collect();
        self.raised.retain(|raised| {
            let stays = raised.subject != subject || alarms.contains(&raised.alarm);
            if !stays {
                info!("alarm over: {}", raised.text);
            }
            stays
        });
        for alarm in alarms {
            if !self.raised.iter().any(|raised| raised.alarm == alarm) {
                let text = alarm.to_string();
                warn!("alarm: {text}");
                self.raised.push(Raised { subject, since: Timestamp::now(), alarm, text });
            }
        }
    }

    /// Returns the alarms that are raised, the oldest first.
    pub fn raised(&self) -> &[Raised] {
        &self.raised
    }
}

/// Returns an alarm of each kind, in the order of [`Alarm::KINDS`].
#[cfg(test)]
pub(crate) fn alarm_samples() -> [Alarm; 20] {
    let text = String::new;
    [
        Alarm::Database { database: text(), error: text() },
        Alarm::BadValue { key: text(), value: None, expected: text() },
        Alarm::ArrayRow { key: text() },
        Alarm::Duplicate { key: text(), rows: 2 },
        Alarm::BadEntries { table: text(), entries: 1, first: text(), problem: text() },
        Alarm::TooManyEntries { table: text(), entries: 2, most: 1 },
        Alarm::EmptyScope,
        Alarm::StateFile { path: text(), error: text() },
        Alarm::TagChanged,
        Alarm::Unwritable { error: text() },
        Alarm::Kamailio { socket: text(), error: text() },
        Alarm::Interface { interface: text(), error: text() },
        Alarm::Network { error: text() },
        Alarm::TooManyAddresses { addresses: 2, most: 1 },
        Alarm::Mtu { interface: text(), mtu: 2, most: 1 },
        Alarm::VlanStripped { interface: text(), fix: None },
        Alarm::NoLease { interface: text(), queue: 0 },
        Alarm::CannotSend { interface: text(), queue: 0 },
        Alarm::Unserved,
        Alarm::KamailioRewrites { htable: text(), table: text() },
    ]
}

#[cfg(test)]
mod tests {
    use super::{Alarm, Alarms, Subject, alarm_samples};

    #[test]
    fn kind_of_an_alarm_is_that_in_its_json() {
        let samples = alarm_samples();
        let kinds: Vec<&str> = samples.iter().map(Alarm::kind).collect();
        assert_eq!(kinds, Alarm::KINDS);
        for alarm in samples {
            assert_eq!(serde_json::to_value(&alarm).unwrap()["kind"], alarm.kind());
        }
    }

    #[test]
    fn alarm_is_raised_once_and_ends_when_its_cause_is_gone() {
        let duplicate = Alarm::Duplicate { key: "maint".into(), rows: 2 };
        let mut alarms = Alarms::default();
        alarms.set(Subject::Rows, [duplicate.clone()]);
        let since = alarms.raised()[0].since;
        alarms.set(Subject::Tag, [Alarm::TagChanged]);
        alarms.set(Subject::Rows, [duplicate]);
        assert_eq!(alarms.raised().len(), 2);
        assert_eq!(alarms.raised()[0].since, since);

        alarms.set(Subject::Rows, []);
        assert_eq!(alarms.raised().iter().map(|raised| &raised.alarm).collect::<Vec<_>>(), [&Alarm::TagChanged]);
    }
}
