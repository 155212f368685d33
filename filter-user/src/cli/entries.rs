//! The entries of a list, as text for people.

use filter_user::domain::{EntryList, Policy, display_utc};
use filter_user::protocol::{ChangedEntries, Entries, EntryState};

use super::output::{self, Line, counted, printable};

/// The scope, if there is none.
const NO_SCOPE: &str = "all new calls";

/// Returns the entries of the lists of a kind as text, with the state of each.
pub(super) fn table(entries: &Entries) -> String {
    let (name, empty, rows): (_, _, Vec<Vec<String>>) = match entries {
        Entries::Bypass { prefixes } => (
            "PREFIX",
            noun(EntryList::Bypass, 0),
            prefixes.iter().map(|entry| row(&entry.prefix, &entry.state)).collect(),
        ),
        Entries::Emergency { users } => {
            ("USER", noun(EntryList::Emergency, 0), users.iter().map(|entry| row(&entry.user, &entry.state)).collect())
        }
        Entries::Scope { sources, destinations } => {
            let sources = sources.iter().map(|entry| row(&format!("from {}", entry.prefix), &entry.state));
            let destinations = destinations.iter().map(|entry| row(&format!("to {}", entry.address), &entry.state));
            ("CALLS", format!("no entries, so the scope is {NO_SCOPE}"), sources.chain(destinations).collect())
        }
    };
    if rows.is_empty() {
        return format!("{empty}\n");
    }
    let head = [name, "IN FORCE", "SINCE", "BY", "WHY"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    output::table(&rows)
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
pub(super) fn noun(list: EntryList, count: usize) -> String {
    match list {
        EntryList::Bypass => counted(count, "bypass prefix", "bypass prefixes"),
        EntryList::Emergency => counted(count, "emergency number", "emergency numbers"),
        EntryList::ScopeSource => counted(count, "scope source", "scope sources"),
        EntryList::ScopeDestination => counted(count, "scope destination", "scope destinations"),
    }
}

/// Formats the scope of a policy.
pub(super) fn scope(policy: &Policy) -> String {
    policy.scope.as_ref().map_or_else(|| NO_SCOPE.to_owned(), ToString::to_string)
}
