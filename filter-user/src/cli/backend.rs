//! The daemon, or the database if no daemon runs: where the commands switch, change and list.

use std::collections::BTreeMap;

use filter_user::config::Settings;
use filter_user::control::{Client, ClientError, Received};
use filter_user::domain::{Change, Edit, EntryList, ListKind, Switch, Why};
use filter_user::protocol::{
    ChangedEntries, Edited, Entries, Events, History, Listed, NoParams, Nodes, Off, On, Prefixes, Remark, ScopeEntries,
    Switched, Users, method,
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
    /// True if nothing is left: no emergency number that can be used, or no entry of the scope.
    pub(super) is_cleared: bool,
    pub(super) lines: Vec<Line>,
    pub(super) json: Value,
}

/// The entries of the lists of a kind, for people and for programs.
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
                let policy = &reply.in_force.policy;
                let (left, is_cleared) = match list.kind() {
                    ListKind::Scope => (format!("scope: {}", entries::scope(policy)), policy.scope.is_none()),
                    ListKind::Bypass | ListKind::Emergency => {
                        let left = list.entries_in(policy).len();
                        (entries::noun(list, left), left == 0)
                    }
                };
                let mut lines = entries::changed_lines(&reply.entries);
                lines.push(("in force", left));
                lines.extend(reply.in_force.alarms.iter().map(in_force::alarm_line));
                Ok(EditReport { is_cleared, lines, json: json(Applied { reply: reply_json, applied: true })? })
            }
            Self::Database(settings) => {
                let change = Change::new(list, edit, &entries, database::origin(settings, why))?;
                let ((changed, entries), not_applied) = database::with_store(settings, async |store| {
                    Ok((store.change(&change).await?, store.list(list.kind()).await?))
                })?;
                let left = changed.left;
                // An entry of the scope that cannot be used is a scope all the same.
                let is_cleared = if list.kind() == ListKind::Scope { entries.is_empty() } else { left == 0 };
                let changed = ChangedEntries::new(edit, changed);
                let mut lines = entries::changed_lines(&changed);
                let noun = entries::noun(list, left);
                lines.push(("database", format!("{}, {noun}", not_applied.database())));
                let json = json(InDatabase { content: &changed, not_applied: &not_applied })?;
                Ok(EditReport { is_cleared, lines: not_applied.around(lines), json })
            }
        }
    }

    /// Returns the entries of the lists of `kind`.
    pub(super) fn list(self, kind: ListKind) -> Result<ListReport, Error> {
        match self {
            Self::Daemon(mut client) => {
                let Received { reply: Listed { entries, alarms }, json } = call_list(&mut client, kind)?;
                Ok(ListReport { entries, notes: alarms.iter().map(in_force::alarm_line).collect(), json })
            }
            Self::Database(settings) => {
                let (entries, not_applied) = database::with_store(settings, async |store| store.list(kind).await)?;
                let entries = Entries::new(kind, &entries, None);
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
        (EntryList::ScopeSource, edit) => {
            call_scope_edit(client, edit, &ScopeEntries { sources: entries, remark, ..ScopeEntries::default() })
        }
        (EntryList::ScopeDestination, edit) => {
            call_scope_edit(client, edit, &ScopeEntries { destinations: entries, remark, ..ScopeEntries::default() })
        }
    }
}

fn call_scope_edit(client: &mut Client, edit: Edit, entries: &ScopeEntries) -> Result<Received<Edited>, ClientError> {
    match edit {
        Edit::Add => client.call::<method::ScopeAdd>(entries),
        Edit::Remove => client.call::<method::ScopeRemove>(entries),
    }
}

fn call_list(client: &mut Client, kind: ListKind) -> Result<Received<Listed>, ClientError> {
    match kind {
        ListKind::Bypass => client.call::<method::BypassList>(&NoParams {}),
        ListKind::Emergency => client.call::<method::EmergencyList>(&NoParams {}),
        ListKind::Scope => client.call::<method::ScopeList>(&NoParams {}),
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
