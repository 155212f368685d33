//! `sip-filter bypass` and `sip-filter emergency`: the exemptions.

use clap::Subcommand;
use filter_user::config::Settings;
use filter_user::domain::{Edit, Exemption, Why, display_utc};
use filter_user::protocol::{ChangedEntries, Entries, EntryState, Prefixes, Users};

use super::backend::{Backend, ListReport};
use super::error::{Error, Outcome};
use super::output::{Line, Output, counted, pairs, print_error, printable, table};

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
        self::edit(settings, Exemption::Bypass, edit, prefixes, remark.why, output)
    };
    match command {
        Bypass::List => list(settings, Exemption::Bypass, output),
        Bypass::Add(prefixes) => edit(Edit::Add, prefixes),
        Bypass::Remove(prefixes) => edit(Edit::Remove, prefixes),
    }
}

pub(super) fn emergency(settings: &Settings, command: Emergency, output: Output) -> Result<Outcome, Error> {
    let edit =
        |edit, Users { users, remark }| self::edit(settings, Exemption::Emergency, edit, users, remark.why, output);
    match command {
        Emergency::List => list(settings, Exemption::Emergency, output),
        Emergency::Add(users) => edit(Edit::Add, users),
        Emergency::Remove(users) => edit(Edit::Remove, users),
    }
}

fn list(settings: &Settings, exemption: Exemption, output: Output) -> Result<Outcome, Error> {
    let ListReport { entries, notes, json } = Backend::find(settings)?.list(exemption)?;
    output.print(&json, || format!("{}{}", text(&entries), pairs(&notes)))?;
    Ok(Outcome::Done)
}

fn edit(
    settings: &Settings,
    exemption: Exemption,
    edit: Edit,
    entries: Vec<String>,
    why: Option<Why>,
    output: Output,
) -> Result<Outcome, Error> {
    let report = Backend::find(settings)?.edit(exemption, edit, entries, why)?;
    output.print(&report.json, || pairs(&report.lines))?;
    if (exemption, edit, report.left) == (Exemption::Emergency, Edit::Remove, 0) {
        warn_of_no_number();
    }
    Ok(Outcome::Done)
}

fn text(entries: &Entries) -> String {
    let (exemption, name, entries): (_, _, Vec<(&str, &EntryState)>) = match entries {
        Entries::Prefixes(entries) => {
            (Exemption::Bypass, "PREFIX", entries.iter().map(|entry| (&*entry.prefix, &entry.state)).collect())
        }
        Entries::Users(entries) => {
            (Exemption::Emergency, "USER", entries.iter().map(|entry| (&*entry.user, &entry.state)).collect())
        }
    };
    if entries.is_empty() {
        return format!("{}\n", noun(exemption, 0));
    }
    let mut rows = vec![[name, "IN FORCE", "SINCE", "BY", "WHY"].map(str::to_owned).to_vec()];
    rows.extend(entries.into_iter().map(|(entry, state)| row(entry, state)));
    table(&rows)
}

fn row(entry: &str, EntryState { in_force, problem, why, who, at }: &EntryState) -> Vec<String> {
    let state = match (problem, in_force) {
        (Some(_), _) => "UNUSABLE",
        (None, true) => "yes",
        (None, false) => "NO",
    };
    let or_dash = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| printable(&text));
    vec![
        printable(entry),
        state.into(),
        or_dash(at.map(|at| display_utc(at).to_string())),
        or_dash(who.clone()),
        or_dash(why.clone()),
    ]
}

/// Returns a line for each entry of a change.
pub(super) fn changed_lines(changed: &ChangedEntries) -> Vec<Line> {
    let (changed, unchanged, changed_name, unchanged_name, note) = match changed {
        ChangedEntries::Added { added, present } => {
            (added, present, "added", "present", "was there already, and stays as it is")
        }
        ChangedEntries::Removed { removed, absent } => (removed, absent, "removed", "absent", "was not there"),
    };
    let changed = changed.iter().map(|entry| (changed_name, entry.clone()));
    let unchanged = unchanged.iter().map(|entry| (unchanged_name, format!("{entry} ({note})")));
    changed.chain(unchanged).collect()
}

/// Formats a number of entries.
pub(super) fn noun(exemption: Exemption, count: usize) -> String {
    match exemption {
        Exemption::Bypass => counted(count, "bypass prefix", "bypass prefixes"),
        Exemption::Emergency => counted(count, "emergency number", "emergency numbers"),
    }
}

fn warn_of_no_number() {
    print_error(
        "warning: no emergency number is left: while maintenance is on, calls to 911, 112 or 999 are refused like any \
         other; only urn:service:sos, Priority and Resource-Priority still mark an emergency",
    );
}
