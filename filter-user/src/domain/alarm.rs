//! Alarms: what keeps the database's word from being in force as it stands, until it is mended.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

/// One thing that is wrong now. Two alarms are the same if they are equal, so a cause is told once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Alarm {
    /// The database cannot be read; the last known policy holds.
    Database {
        /// Its URL, without password.
        database: String,
        /// What went wrong.
        error: String,
    },
    /// A row has a value that cannot be used; the last good value of this key holds.
    BadValue {
        /// `key_name` of the row.
        key: String,
        /// `key_value` as it stands; `None` for NULL.
        value: Option<String>,
        /// What it should be.
        expected: String,
    },
    /// A row is of `key_type` 1, which Kamailio reads as an array; the last good value of this key holds.
    ArrayRow {
        /// `key_name` of the row.
        key: String,
    },
    /// Several rows have the same key; the last good value of this key holds.
    Duplicate {
        /// `key_name` of the rows.
        key: String,
        /// How many there are.
        rows: usize,
    },
    /// Entries of a table of exemptions cannot be used; they are left out, and the others count.
    BadEntries {
        /// The table.
        table: String,
        /// How many there are.
        entries: usize,
        /// The first of them, as it stands.
        first: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A table of exemptions has more entries than the kernel's map holds; the last good ones hold.
    TooManyEntries {
        /// The table.
        table: String,
        /// How many there are, of the address family that has too many.
        entries: usize,
        /// How many there may be.
        most: usize,
    },
    /// The state file cannot be read or written: after a reboot during an outage the state would not be known.
    StateFile {
        /// Its path.
        path: String,
        /// What went wrong.
        error: String,
    },
    /// The cluster's To tag is not the one that this daemon was started with.
    TagChanged,
    /// The database takes nothing from us: the other hosts do not know what this one has in force.
    Unwritable {
        /// What went wrong.
        error: String,
    },
    /// Kamailio cannot be told whether maintenance is on, or cannot be asked; it is tried again all the time.
    Kamailio {
        /// Its socket.
        socket: String,
        /// What went wrong.
        error: String,
    },
    /// Kamailio rewrites the policy table when it stops (`dbmode=1`).
    KamailioRewrites {
        /// The htable.
        htable: String,
        /// The table in the database.
        table: String,
    },
}

impl Alarm {
    /// All kinds that there are, as [`Self::kind`] names them.
    pub const KINDS: &[&'static str] = &[
        "database",
        "bad_value",
        "array_row",
        "duplicate",
        "bad_entries",
        "too_many_entries",
        "state_file",
        "tag_changed",
        "unwritable",
        "kamailio",
        "kamailio_rewrites",
    ];

    /// Its kind, as in the control protocol.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Database { .. } => "database",
            Self::BadValue { .. } => "bad_value",
            Self::ArrayRow { .. } => "array_row",
            Self::Duplicate { .. } => "duplicate",
            Self::BadEntries { .. } => "bad_entries",
            Self::TooManyEntries { .. } => "too_many_entries",
            Self::StateFile { .. } => "state_file",
            Self::TagChanged => "tag_changed",
            Self::Unwritable { .. } => "unwritable",
            Self::Kamailio { .. } => "kamailio",
            Self::KamailioRewrites { .. } => "kamailio_rewrites",
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { database, error } => {
                write!(f, "database {database} cannot be read: {error}; the last known policy holds")
            }
            Self::BadValue { key, value, expected } => {
                let value = value.as_deref().map_or("NULL".into(), |value| format!("{value:?}"));
                write!(f, "row {key} is {value}, but {expected}; the last good value holds")
            }
            Self::ArrayRow { key } => {
                write!(f, "row {key} has key_type 1 (an array for Kamailio), want 0; the last good value holds")
            }
            Self::Duplicate { key, rows } => {
                write!(f, "{rows} rows have the key {key}, delete all but one; the last good value holds")
            }
            Self::BadEntries { table, entries, first, problem } => {
                let entries = if *entries == 1 { "1 entry".into() } else { format!("{entries} entries") };
                write!(
                    f,
                    "{entries} of {table} cannot be used, and the others count; the first is {first:?}: {problem}"
                )
            }
            Self::TooManyEntries { table, entries, most } => {
                write!(
                    f,
                    "{table} has {entries} entries, and no more than {most} can be in force; the last good ones hold"
                )
            }
            Self::StateFile { path, error } => write!(f, "state file {path}: {error}"),
            Self::TagChanged => {
                f.write_str("the cluster's To tag in the database is not the one in use; restart the daemon to use it")
            }
            Self::Unwritable { error } => write!(
                f,
                "the database is read, but takes nothing from this host, so that history, nodes and --wait miss it: {error}"
            ),
            Self::Kamailio { socket, error } => {
                write!(
                    f,
                    "Kamailio at {socket} does not follow, new calls over TCP, TLS and WebSocket are as it has them: {error}"
                )
            }
            Self::KamailioRewrites { htable, table } => {
                write!(
                    f,
                    "Kamailio has its htable {htable} with dbmode=1: when it stops, it deletes all rows of {table} and \
                     writes those that it had in memory, over what was switched meanwhile; give it dbmode=0"
                )
            }
        }
    }
}

/// What an alarm is about, and so who raises and clears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The connection to the database.
    Database,
    /// What the rows and the exemptions say.
    Rows,
    /// The state file.
    StateFile,
    /// The cluster's To tag.
    Tag,
    /// What the daemon tells the other hosts.
    Telling,
    /// The Kamailio beside us.
    Kamailio,
}

/// An alarm that is raised.
#[derive(Clone, Debug, Serialize)]
pub struct Raised {
    #[serde(skip)]
    subject: Subject,
    /// Since when, in UTC.
    pub since: Timestamp,
    /// What is wrong.
    #[serde(flatten)]
    pub alarm: Alarm,
    /// The same, for a person.
    pub text: String,
}

/// The alarms that are raised now. Each is logged once when it is raised and once when it is over.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    raised: Vec<Raised>,
}

impl Alarms {
    /// States all that is wrong with `subject` now: what is new is raised, what is not among it any more is over.
    pub fn set(&mut self, subject: Subject, now: impl IntoIterator<Item = Alarm>) {
        let now: Vec<Alarm> = now.into_iter().collect();
        self.raised.retain(|raised| {
            let stays = raised.subject != subject || now.contains(&raised.alarm);
            if !stays {
                info!("alarm over: {}", raised.text);
            }
            stays
        });
        for alarm in now {
            if !self.raised.iter().any(|raised| raised.alarm == alarm) {
                let text = alarm.to_string();
                warn!("alarm: {text}");
                self.raised.push(Raised { subject, since: Timestamp::now(), alarm, text });
            }
        }
    }

    /// Those that are raised, the oldest first.
    pub fn raised(&self) -> &[Raised] {
        &self.raised
    }
}

#[cfg(test)]
mod tests {
    use super::{Alarm, Alarms, Subject};

    #[test]
    fn kinds_are_named_as_in_the_control_protocol() {
        let text = String::new;
        let each = [
            Alarm::Database { database: text(), error: text() },
            Alarm::BadValue { key: text(), value: None, expected: text() },
            Alarm::ArrayRow { key: text() },
            Alarm::Duplicate { key: text(), rows: 2 },
            Alarm::BadEntries { table: text(), entries: 1, first: text(), problem: text() },
            Alarm::TooManyEntries { table: text(), entries: 2, most: 1 },
            Alarm::StateFile { path: text(), error: text() },
            Alarm::TagChanged,
            Alarm::Unwritable { error: text() },
            Alarm::Kamailio { socket: text(), error: text() },
            Alarm::KamailioRewrites { htable: text(), table: text() },
        ];
        let kinds: Vec<&str> = each.iter().map(Alarm::kind).collect();
        assert_eq!(kinds, Alarm::KINDS);
        for alarm in each {
            assert_eq!(serde_json::to_value(&alarm).unwrap()["kind"], alarm.kind());
        }
    }

    #[test]
    fn an_alarm_is_raised_once_and_ends_when_its_cause_is_gone() {
        let duplicate = Alarm::Duplicate { key: "maint".into(), rows: 2 };
        let mut alarms = Alarms::default();
        alarms.set(Subject::Rows, [duplicate.clone()]);
        let since = alarms.raised()[0].since;
        alarms.set(Subject::Tag, [Alarm::TagChanged]);
        alarms.set(Subject::Rows, [duplicate.clone()]);
        assert_eq!(alarms.raised().len(), 2);
        assert_eq!(alarms.raised()[0].since, since);

        alarms.set(Subject::Rows, []);
        assert_eq!(alarms.raised().iter().map(|raised| &raised.alarm).collect::<Vec<_>>(), [&Alarm::TagChanged]);
    }
}
