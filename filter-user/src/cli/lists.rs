//! `sip-filter bypass` and `sip-filter emergency`: the lists of entries in the database.

use clap::Subcommand;
use filter_user::config::Settings;
use filter_user::domain::{Edit, EntryList, Why};
use filter_user::protocol::{Prefixes, Users};

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

pub(super) fn bypass(settings: &Settings, command: Bypass, output: Output) -> Result<Outcome, Error> {
    let edit = |edit, Prefixes { prefixes, remark }| {
        self::edit(settings, EntryList::Bypass, edit, prefixes, remark.why, output)
    };
    match command {
        Bypass::List => list(settings, EntryList::Bypass, output),
        Bypass::Add(prefixes) => edit(Edit::Add, prefixes),
        Bypass::Remove(prefixes) => edit(Edit::Remove, prefixes),
    }
}

pub(super) fn emergency(settings: &Settings, command: Emergency, output: Output) -> Result<Outcome, Error> {
    let edit =
        |edit, Users { users, remark }| self::edit(settings, EntryList::Emergency, edit, users, remark.why, output);
    match command {
        Emergency::List => list(settings, EntryList::Emergency, output),
        Emergency::Add(users) => edit(Edit::Add, users),
        Emergency::Remove(users) => edit(Edit::Remove, users),
    }
}

fn list(settings: &Settings, list: EntryList, output: Output) -> Result<Outcome, Error> {
    let ListReport { entries, notes, json } = Backend::find(settings)?.list(list)?;
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
    if (list, edit, report.left) == (EntryList::Emergency, Edit::Remove, 0) {
        warn_of_no_number();
    }
    Ok(Outcome::Done)
}

fn warn_of_no_number() {
    print_error(
        "warning: no emergency number is left: while maintenance is on, calls to 911, 112 or 999 are refused like any \
         other; only urn:service:sos, Priority and Resource-Priority still mark an emergency",
    );
}
