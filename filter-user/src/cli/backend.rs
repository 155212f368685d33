//! The daemon, or the database if no daemon runs: where the commands switch, change and list.

use std::collections::BTreeMap;

use filter_user::config::Settings;
use filter_user::control::{Client, ClientError, Received};
use filter_user::domain::{Change, Edit, EntryList, Switch, Why};
use filter_user::protocol::{
    ChangedEntries, Edited, Entries, Events, History, Listed, NoParams, Nodes, Off, On, Prefixes, Remark, Switched,
    Users, method,
};
use filter_user::store::rows;
use serde::Serialize;
use serde_json::Value;

use super::database::{self, NotApplied};
use super::error::Error;
use super::output::Line;
use super::{entries, in_force};

/// The place where a command is executed.
pub(super) enum Backend<'a> {
    /// A daemon listens on the control socket.
    Daemon(Client),
    /// No daemon runs: the command uses the database itself.
    Database(&'a Settings),
}

/// The result of a switch, for people and for programs.
pub(super) struct SwitchReport {
    /// Number of the event.
    pub(super) event: i64,
    /// True if an alarm is raised.
    pub(super) is_degraded: bool,
    pub(super) lines: Vec<Line>,
    pub(super) json: Value,
}

/// The result of a change of a list, for people and for programs.
pub(super) struct EditReport {
    /// Number of entries that the table has now and that can be used.
    pub(super) left: usize,
    pub(super) lines: Vec<Line>,
    pub(super) json: Value,
}

/// The entries of a list, for people and for programs.
pub(super) struct ListReport {
    pub(super) entries: Entries,
    /// Lines below the entries.
    pub(super) notes: Vec<Line>,
    pub(super) json: Value,
}

/// A reply of the daemon, which has applied the change.
#[derive(Serialize)]
struct Applied {
    #[serde(flatten)]
    reply: Value,
    applied: bool,
}

/// A switch in the database.
#[derive(Serialize)]
struct SwitchInDatabase<'a> {
    #[serde(flatten)]
    not_applied: &'a NotApplied,
    event: i64,
    table: &'a str,
    written: &'a BTreeMap<String, String>,
}

/// Entries in the database, or a change of them.
#[derive(Serialize)]
struct InDatabase<'a, T> {
    #[serde(flatten)]
    content: &'a T,
    #[serde(flatten)]
    not_applied: &'a NotApplied,
}

impl<'a> Backend<'a> {
    /// Connects to the daemon, if one runs.
    pub(super) fn find(settings: &'a Settings) -> Result<Self, Error> {
        match Client::connect(&settings.socket) {
            Ok(client) => Ok(Self::Daemon(client)),
            Err(ClientError::NoDaemon(_)) => Ok(Self::Database(settings)),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins maintenance.
    pub(super) fn on(self, on: On) -> Result<SwitchReport, Error> {
        match self {
            Self::Daemon(mut client) => applied(client.call::<method::On>(&on)?),
            Self::Database(settings) => write(settings, &on.into_switch(|why| database::origin(settings, why))?),
        }
    }

    /// Ends maintenance.
    pub(super) fn off(self, off: Off) -> Result<SwitchReport, Error> {
        match self {
            Self::Daemon(mut client) => applied(client.call::<method::Off>(&off)?),
            Self::Database(settings) => write(settings, &off.into_switch(|why| database::origin(settings, why))?),
        }
    }

    /// Adds entries to a list, or removes them.
    pub(super) fn edit(
        self,
        list: EntryList,
        edit: Edit,
        entries: Vec<String>,
        why: Option<Why>,
    ) -> Result<EditReport, Error> {
        match self {
            Self::Daemon(mut client) => {
                let Received { reply, json: reply_json } = call_edit(&mut client, list, edit, entries, why)?;
                let left = list.entries_in(&reply.in_force.policy).len();
                let mut lines = entries::changed_lines(&reply.entries);
                lines.push(("in force", entries::noun(list, left)));
                lines.extend(reply.in_force.alarms.iter().map(in_force::alarm_line));
                Ok(EditReport { left, lines, json: json(Applied { reply: reply_json, applied: true })? })
            }
            Self::Database(settings) => {
                let change = Change::new(list, edit, &entries, database::origin(settings, why))?;
                let (changed, not_applied) = database::with_store(settings, async |store| store.change(&change).await)?;
                let left = changed.left;
                let changed = ChangedEntries::new(edit, changed);
                let mut lines = entries::changed_lines(&changed);
                let noun = entries::noun(list, left);
                lines.push(("database", format!("{}, {noun}", not_applied.database())));
                let json = json(InDatabase { content: &changed, not_applied: &not_applied })?;
                Ok(EditReport { left, lines: not_applied.around(lines), json })
            }
        }
    }

    /// Returns the entries of a list.
    pub(super) fn list(self, list: EntryList) -> Result<ListReport, Error> {
        match self {
            Self::Daemon(mut client) => {
                let Received { reply: Listed { entries, alarms }, json } = call_list(&mut client, list)?;
                Ok(ListReport { entries, notes: alarms.iter().map(in_force::alarm_line).collect(), json })
            }
            Self::Database(settings) => {
                let (entries, not_applied) = database::with_store(settings, async |store| store.list(list).await)?;
                let entries = Entries::new(list, entries, None);
                let json = json(InDatabase { content: &entries, not_applied: &not_applied })?;
                Ok(ListReport { entries, notes: not_applied.around([]), json })
            }
        }
    }

    /// Lists the last events.
    pub(super) fn history(self, history: History) -> Result<Received<Events>, Error> {
        match self {
            Self::Daemon(mut client) => Ok(client.call::<method::History>(&history)?),
            Self::Database(settings) => {
                let limit = history.limit.unwrap_or_default().get();
                let (events, _) = database::with_store(settings, async |store| store.history(limit).await)?;
                received(Events { events })
            }
        }
    }

    /// Lists the hosts that share the database.
    pub(super) fn nodes(self) -> Result<Received<Nodes>, Error> {
        match self {
            Self::Daemon(mut client) => Ok(client.call::<method::Nodes>(&NoParams {})?),
            Self::Database(settings) => {
                let (nodes, _) = database::with_store(settings, async |store| store.nodes().await)?;
                received(Nodes { nodes })
            }
        }
    }
}

fn applied(Received { reply, json: reply_json }: Received<Switched>) -> Result<SwitchReport, Error> {
    let json = json(Applied { reply: reply_json, applied: true })?;
    let is_degraded = !reply.in_force.alarms.is_empty();
    Ok(SwitchReport { event: reply.event, is_degraded, lines: in_force::lines(&reply.in_force), json })
}

fn write(settings: &Settings, switch: &Switch) -> Result<SwitchReport, Error> {
    let (event, not_applied) = database::with_store(settings, async |store| store.switch(switch).await)?;
    let table = settings.table.as_str();
    let written: BTreeMap<String, String> = rows::to_write(switch).into_iter().collect();
    let rows: Vec<String> = written.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let line = ("written", format!("{} ({}, table {table})", rows.join(", "), not_applied.database()));
    let json = json(SwitchInDatabase { not_applied: &not_applied, event, table, written: &written })?;
    Ok(SwitchReport { event, is_degraded: false, lines: not_applied.around([line]), json })
}

fn call_edit(
    client: &mut Client,
    list: EntryList,
    edit: Edit,
    entries: Vec<String>,
    why: Option<Why>,
) -> Result<Received<Edited>, ClientError> {
    let remark = Remark { why };
    match (list, edit) {
        (EntryList::Bypass, Edit::Add) => client.call::<method::BypassAdd>(&Prefixes { prefixes: entries, remark }),
        (EntryList::Bypass, Edit::Remove) => {
            client.call::<method::BypassRemove>(&Prefixes { prefixes: entries, remark })
        }
        (EntryList::Emergency, Edit::Add) => client.call::<method::EmergencyAdd>(&Users { users: entries, remark }),
        (EntryList::Emergency, Edit::Remove) => {
            client.call::<method::EmergencyRemove>(&Users { users: entries, remark })
        }
    }
}

fn call_list(client: &mut Client, list: EntryList) -> Result<Received<Listed>, ClientError> {
    match list {
        EntryList::Bypass => client.call::<method::BypassList>(&NoParams {}),
        EntryList::Emergency => client.call::<method::EmergencyList>(&NoParams {}),
    }
}

/// Returns a result from the database in the form of a daemon's reply.
fn received<T: Serialize>(reply: T) -> Result<Received<T>, Error> {
    let json = json(&reply)?;
    Ok(Received { reply, json })
}

fn json(value: impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(Error::failed)
}
