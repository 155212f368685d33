//! Log lines about policies and lists.

use std::collections::BTreeSet;
use std::fmt::Display;

use tracing::{info, warn};

use super::state_file::State;
use crate::domain::{Change, Changed, Policy, Scope};

/// Maximum number of entries that a log line names. A change may replace a whole table.
const MAX_NAMED: usize = 10;

/// Logs the policy that is now in force, and the differences between its lists and those of `before`.
pub(super) fn in_force(before: &Policy, now: &State) {
    let policy = &now.policy;
    difference("bypass prefixes", &before.bypass, &policy.bypass);
    difference("emergency numbers", &before.emergency, &policy.emergency);
    let nothing = Scope::default();
    let [scope_before, scope] = [before, policy].map(|policy| policy.scope.as_ref().unwrap_or(&nothing));
    difference("scope sources", &scope_before.sources, &scope.sources);
    difference("scope destinations", &scope_before.destinations, &scope.destinations);
    if policy.scope.is_none() && before.scope.is_some() {
        warn!("the scope has no entries any more: maintenance is about all new calls");
    }
    if policy.emergency.is_empty() && !before.emergency.is_empty() {
        warn!(
            "no emergency number is left: calls to 911, 112 or 999 are refused like any other while maintenance is on"
        );
    }
    let since = now.since.as_ref();
    let who = since.and_then(|since| since.who.as_deref()).unwrap_or("the database");
    let why = since.and_then(|since| since.why.as_deref()).map(|why| format!(", why: {why}"));
    info!("in force: {policy} (switched by {who}{})", why.unwrap_or_default());
}

/// Logs who has changed a list.
pub(super) fn changed(change: &Change, done: &Changed) {
    if !done.changed.is_empty() {
        let why = change.origin.why.as_ref().map(|why| format!(", why: {why}"));
        info!("{} by {}: {}{}", change.action(), change.origin.actor, names(&done.changed), why.unwrap_or_default());
    }
}

fn difference<T: Ord + Display>(what: &str, before: &BTreeSet<T>, now: &BTreeSet<T>) {
    for (verb, entries) in [("added", now.difference(before)), ("removed", before.difference(now))] {
        let entries: Vec<String> = entries.map(T::to_string).collect();
        if !entries.is_empty() {
            info!("{what} {verb}: {}", names(&entries));
        }
    }
}

fn names(entries: &[String]) -> String {
    let named: Vec<&str> = entries.iter().take(MAX_NAMED).map(String::as_str).collect();
    match entries.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn long_list_of_entries_is_cut_after_ten_and_the_rest_is_counted() {
        let entries: Vec<String> = (0..12).map(|index| index.to_string()).collect();
        assert_eq!(names(&entries[..3]), "0, 1, 2");
        assert_eq!(names(&entries[..10]), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
        assert_eq!(names(&entries), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
