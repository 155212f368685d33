//! The JSON of exemptions: what the daemon answers, and what a command prints that finds no daemon.

use serde_json::{Map, Value, json};

use crate::domain::{Changed, Edit, Entry, Exemption, Policy};

/// The entries of a table: `in_force` as `policy` has them, which is `None` where there is no daemon.
pub fn list(exemption: Exemption, entries: &[Entry], policy: Option<&Policy>) -> Value {
    let entry = |entry: &Entry| {
        json!({
            exemption.singular(): entry.text,
            "in_force": policy.is_some_and(|policy| exemption.is_in(policy, &entry.text)),
            "problem": entry.problem(exemption),
            "why": entry.why,
            "who": entry.actor,
            "at": entry.at,
        })
    };
    entries.iter().map(entry).collect()
}

/// What a change has done: `added` and `present`, or `removed` and `absent`.
pub fn changed(edit: Edit, done: &Changed) -> Map<String, Value> {
    let (changed, unchanged) = edit.outcomes();
    [(changed.to_owned(), json!(done.changed)), (unchanged.to_owned(), json!(done.unchanged))].into_iter().collect()
}
