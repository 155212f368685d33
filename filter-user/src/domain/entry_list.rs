//! The lists of entries that the operator maintains: bypass prefixes and emergency numbers, and how they are changed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use thiserror::Error;

use super::{EmergencyUser, InvalidPrefix, InvalidUser, Origin, Policy, Prefix};

/// A list of entries, with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryList {
    /// Prefixes from which calls are never refused.
    Bypass,
    /// Numbers to which calls are never refused.
    Emergency,
}

/// The error of a text that is not an entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidEntry {
    /// Not an entry of the bypass table.
    #[error(transparent)]
    Prefix(#[from] InvalidPrefix),
    /// Not an entry of the emergency table.
    #[error(transparent)]
    User(#[from] InvalidUser),
}

/// The direction of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Entries are added. An entry that is in the table already keeps its author and its reason.
    Add,
    /// Entries are removed.
    Remove,
}

/// A requested change of a list.
#[derive(Clone, Debug)]
pub struct Change {
    /// List to change.
    pub list: EntryList,
    /// Direction.
    pub edit: Edit,
    entries: Vec<String>,
    /// Origin of the request.
    pub origin: Origin,
}

/// The result of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Entries that were added or removed.
    pub changed: Vec<String>,
    /// Entries that were in the table already, or not in the table.
    pub unchanged: Vec<String>,
    /// Number of entries that the table has now and that can be used.
    pub left: usize,
}

/// An entry of a list, as its table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Prefix or user part, as written in the table.
    pub text: String,
    /// Reason why it was added.
    pub why: Option<String>,
    /// User who added it; `None` if it was not added by one of our commands.
    pub actor: Option<String>,
    /// Time at which it was added.
    pub at: Option<Timestamp>,
}

impl Entry {
    /// Returns the reason why the entry cannot be used; `None` if it can.
    pub fn problem(&self, list: EntryList) -> Option<String> {
        list.canonical(&self.text).err().map(|error| error.to_string())
    }
}

impl EntryList {
    /// Returns the maximum number of entries in force; for bypass prefixes, of each address family.
    pub const fn max_in_force(self) -> usize {
        match self {
            Self::Bypass => 8192,
            Self::Emergency => 512,
        }
    }

    /// Returns an entry in canonical spelling: `2001:db8::1/128` for `2001:DB8::1`.
    pub fn canonical(self, text: &str) -> Result<String, InvalidEntry> {
        Ok(match self {
            Self::Bypass => text.parse::<Prefix>()?.to_string(),
            Self::Emergency => text.parse::<EmergencyUser>()?.to_string(),
        })
    }

    /// Returns whether `policy` has this entry.
    pub fn is_in(self, policy: &Policy, text: &str) -> bool {
        match self {
            Self::Bypass => text.parse().is_ok_and(|prefix| policy.bypass.contains(&prefix)),
            Self::Emergency => text.parse().is_ok_and(|user| policy.emergency.contains(&user)),
        }
    }

    /// Returns the entries that `policy` has.
    pub fn entries_in(self, policy: &Policy) -> Vec<String> {
        match self {
            Self::Bypass => policy.bypass.iter().map(Prefix::to_string).collect(),
            Self::Emergency => policy.emergency.iter().map(EmergencyUser::to_string).collect(),
        }
    }
}

impl Change {
    /// Creates a change of these entries, each in canonical spelling and once.
    ///
    /// An entry to add must be valid. An entry to remove may be invalid, as it is in the table: otherwise only SQL
    /// could remove it.
    pub fn new(list: EntryList, edit: Edit, entries: &[String], origin: Origin) -> Result<Self, InvalidEntry> {
        let mut seen = BTreeSet::new();
        let mut unique = Vec::new();
        for text in entries {
            let entry = match (list.canonical(text), edit) {
                (Ok(entry), _) => entry,
                (Err(_), Edit::Remove) => text.clone(),
                (Err(error), Edit::Add) => return Err(error),
            };
            if seen.insert(entry.clone()) {
                unique.push(entry);
            }
        }
        Ok(Self { list, edit, entries: unique, origin })
    }

    /// Returns the entries.
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// Returns the name of the change in the event table: `bypass.add` and the like.
    pub const fn action(&self) -> &'static str {
        match (self.list, self.edit) {
            (EntryList::Bypass, Edit::Add) => "bypass.add",
            (EntryList::Bypass, Edit::Remove) => "bypass.remove",
            (EntryList::Emergency, Edit::Add) => "emergency.add",
            (EntryList::Emergency, Edit::Remove) => "emergency.remove",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Channel;
    use super::{Change, Edit, EntryList, InvalidEntry, Origin};

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn change(list: EntryList, edit: Edit, entries: &[&str]) -> Result<Vec<String>, InvalidEntry> {
        let origin = Origin { actor: "alice".into(), why: None, channel: Channel::Daemon, node: "sbc1".into() };
        Ok(Change::new(list, edit, &strings(entries), origin)?.entries().to_vec())
    }

    #[test]
    fn change_has_each_entry_once_in_canonical_spelling() {
        let entries = ["2001:DB8::1", "10.0.0.0/8", "2001:db8:0::1/128"];
        let expected = Ok(strings(&["2001:db8::1/128", "10.0.0.0/8"]));
        assert_eq!(change(EntryList::Bypass, Edit::Add, &entries), expected);
        assert_eq!(change(EntryList::Bypass, Edit::Remove, &entries), expected);
        assert_eq!(change(EntryList::Emergency, Edit::Add, &["110", "110"]), Ok(strings(&["110"])));
    }

    #[test]
    fn only_an_entry_to_remove_may_be_invalid() {
        let error = change(EntryList::Bypass, Edit::Add, &["10.0.0.0/8", "198.18.1.7/15"]).unwrap_err();
        assert!(error.to_string().contains("198.18.0.0/15"), "{error}");
        change(EntryList::Emergency, Edit::Add, &["sip:911@a"]).unwrap_err();
        assert_eq!(change(EntryList::Bypass, Edit::Remove, &["198.18.1.7/15"]), Ok(strings(&["198.18.1.7/15"])));
    }
}
