//! The entries of a list, as text for people.

use filter_user::domain::{EntryList, display_utc};
use filter_user::protocol::{ChangedEntries, Entries, EntryState};

use super::output::{self, Line, counted, printable};

/// Returns the entries of a list as text, with the state of each.
pub(super) fn table(entries: &Entries) -> String {
    let (list, name, entries): (_, _, Vec<(&str, &EntryState)>) = match entries {
        Entries::Prefixes(entries) => {
            (EntryList::Bypass, "PREFIX", entries.iter().map(|entry| (&*entry.prefix, &entry.state)).collect())
        }
        Entries::Users(entries) => {
            (EntryList::Emergency, "USER", entries.iter().map(|entry| (&*entry.user, &entry.state)).collect())
        }
    };
    if entries.is_empty() {
        return format!("{}\n", noun(list, 0));
    }
    let mut rows = vec![[name, "IN FORCE", "SINCE", "BY", "WHY"].map(str::to_owned).to_vec()];
    rows.extend(entries.into_iter().map(|(entry, state)| row(entry, state)));
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
    }
}
