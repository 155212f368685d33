//! `sip-filter bypass`, `sip-filter emergency` and `sip-filter scope`: the lists of entries in the database.

use clap::Subcommand;
use filter_user::config::Settings;
use filter_user::domain::{Edit, EntryList, ListKind, Why};
use filter_user::protocol::{Prefixes, ScopeEntries, Users};

use super::backend::{Backend, ListReport};
use super::entries;
use super::error::{Error, Outcome, print_error};
use super::output::{Output, pairs};

/// Commands on bypass prefixes.
#[derive(Subcommand)]
pub(super) enum Bypass {
    /// List the prefixes: who added each, when and why, and whether it is in force
    List,
    /// Add prefixes: calls from them are never refused
    ///
    /// If one of the prefixes is not valid, none is added. A prefix that is already listed keeps its date and reason;
    /// that is not an error.
    Add(Prefixes),
    /// Remove prefixes: calls from them are refused like others
    ///
    /// A prefix is found in any spelling. A prefix that is not listed is reported; that is not an error. An entry that
    /// cannot be used, for which there is an alarm, is removed by the spelling that `list` shows.
    Remove(Prefixes),
}

/// Commands on emergency numbers.
#[derive(Subcommand)]
pub(super) enum Emergency {
    /// List the numbers: who added each, when and why, and whether it is in force
    List,
    /// Add numbers: calls to them are never refused
    ///
    /// If one of the numbers is not valid, none is added. A number that is already listed keeps its date and reason;
    /// that is not an error.
    Add(Users),
    /// Remove numbers: calls to them are refused like others
    ///
    /// A number that is not listed is reported; that is not an error. Removing the last number prints a warning.
    Remove(Users),
}

/// Commands on the scope of maintenance.
#[derive(Subcommand)]
pub(super) enum Scope {
    /// List the entries: who added each, when and why, and whether it is in force
    List,
    /// Add sources or destinations: calls from or to them are in the scope
    ///
    /// The first entry takes all other calls out of the scope. If one of the entries is not valid, none is added. An
    /// entry that is already listed keeps its date and reason; that is not an error.
    Add(ScopeEntries),
    /// Remove sources or destinations
    ///
    /// Removing the last entry brings all new calls into the scope, and prints a warning. To replace the entries, add
    /// the new ones before you remove the old ones.
    ///
    /// An entry is found in any spelling. An entry that is not listed is reported; that is not an error. An entry that
    /// cannot be used, for which there is an alarm, is removed by the spelling that `list` shows.
    Remove(ScopeEntries),
}

pub(super) fn bypass(settings: &Settings, command: Bypass, output: Output) -> Result<Outcome, Error> {
    let edit = |edit, Prefixes { prefixes, remark }| {
        self::edit(settings, EntryList::Bypass, edit, prefixes, remark.why, output)
    };
    match command {
        Bypass::List => list(settings, ListKind::Bypass, output),
        Bypass::Add(prefixes) => edit(Edit::Add, prefixes),
        Bypass::Remove(prefixes) => edit(Edit::Remove, prefixes),
    }
}

pub(super) fn emergency(settings: &Settings, command: Emergency, output: Output) -> Result<Outcome, Error> {
    let edit =
        |edit, Users { users, remark }| self::edit(settings, EntryList::Emergency, edit, users, remark.why, output);
    match command {
        Emergency::List => list(settings, ListKind::Emergency, output),
        Emergency::Add(users) => edit(Edit::Add, users),
        Emergency::Remove(users) => edit(Edit::Remove, users),
    }
}

pub(super) fn scope(settings: &Settings, command: Scope, output: Output) -> Result<Outcome, Error> {
    let edit = |edit, entries: ScopeEntries| {
        let (list, entries, why) = entries.into_list().map_err(Error::usage)?;
        self::edit(settings, list, edit, entries, why, output)
    };
    match command {
        Scope::List => list(settings, ListKind::Scope, output),
        Scope::Add(entries) => edit(Edit::Add, entries),
        Scope::Remove(entries) => edit(Edit::Remove, entries),
    }
}

fn list(settings: &Settings, kind: ListKind, output: Output) -> Result<Outcome, Error> {
    let ListReport { entries, notes, json } = Backend::find(settings)?.list(kind)?;
    output.print(&json, || format!("{}{}", entries::table(&entries), pairs(&notes)))?;
    Ok(Outcome::Done)
}

fn edit(
    settings: &Settings,
    list: EntryList,
    edit: Edit,
    entries: Vec<String>,
    why: Option<Why>,
    output: Output,
) -> Result<Outcome, Error> {
    let report = Backend::find(settings)?.edit(list, edit, entries, why)?;
    output.print(&report.json, || pairs(&report.lines))?;
    if edit == Edit::Remove && report.is_cleared {
        warn_of_nothing_left(list.kind());
    }
    Ok(Outcome::Done)
}

fn warn_of_nothing_left(kind: ListKind) {
    match kind {
        ListKind::Bypass => {}
        ListKind::Emergency => print_error(
            "warning: no emergency number is left: while maintenance is on, calls to 911, 112 or 999 are refused like \
             any other; only urn:service:sos, Priority and Resource-Priority still mark an emergency",
        ),
        ListKind::Scope => print_error(
            "warning: no entry of the scope is left: while maintenance is on, new calls are refused wherever they come \
             from; `sip-filter scope add` limits maintenance again",
        ),
    }
}
