//! The lists of entries that the operator maintains (bypass prefixes, emergency numbers, the scope), and how they are
//! changed.

use std::collections::BTreeSet;
use std::str::FromStr;

use jiff::Timestamp;
use thiserror::Error;

use super::{Destination, EmergencyUser, InvalidDestination, InvalidPrefix, InvalidUser, Origin, Policy, Prefix};

/// The kinds of lists, each with commands of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Bypass prefixes.
    Bypass,
    /// Emergency numbers.
    Emergency,
    /// The scope of maintenance: sources and destinations.
    Scope,
}

/// A list of entries, with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryList {
    /// Prefixes from which calls are never refused.
    Bypass,
    /// Numbers to which calls are never refused.
    Emergency,
    /// Prefixes of callers whose calls are in the scope of maintenance.
    ScopeSource,
    /// Addresses to which calls are in the scope of maintenance.
    ScopeDestination,
}

/// The error of a text that is not an entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidEntry {
    /// Not an entry of a list of prefixes.
    #[error(transparent)]
    Prefix(#[from] InvalidPrefix),
    /// Not an emergency number.
    #[error(transparent)]
    User(#[from] InvalidUser),
    /// Not a destination.
    #[error(transparent)]
    Destination(#[from] InvalidDestination),
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
    /// List.
    pub list: EntryList,
    /// Prefix, user part or destination, as written in the table.
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
    pub fn problem(&self) -> Option<String> {
        self.list.canonical(&self.text).err().map(|error| error.to_string())
    }

    /// Returns whether `policy` has the entry.
    pub fn is_in(&self, policy: &Policy) -> bool {
        let Policy { bypass, emergency, scope, .. } = policy;
        match self.list {
            EntryList::Bypass => has(bypass, &self.text),
            EntryList::Emergency => has(emergency, &self.text),
            EntryList::ScopeSource => scope.as_ref().is_some_and(|scope| has(&scope.sources, &self.text)),
            EntryList::ScopeDestination => scope.as_ref().is_some_and(|scope| has(&scope.destinations, &self.text)),
        }
    }
}

impl ListKind {
    /// Returns the lists of this kind.
    pub const fn lists(self) -> &'static [EntryList] {
        match self {
            Self::Bypass => &[EntryList::Bypass],
            Self::Emergency => &[EntryList::Emergency],
            Self::Scope => &[EntryList::ScopeSource, EntryList::ScopeDestination],
        }
    }

    /// Returns the entries that `policy` has, of which nothing else is known.
    pub fn entries_in(self, policy: &Policy) -> Vec<Entry> {
        let entries = |list: &EntryList| {
            let list = *list;
            let entry = move |text| Entry { list, text, why: None, actor: None, at: None };
            list.entries_in(policy).into_iter().map(entry)
        };
        self.lists().iter().flat_map(entries).collect()
    }
}

impl EntryList {
    /// All lists.
    pub const ALL: [Self; 4] = [Self::Bypass, Self::Emergency, Self::ScopeSource, Self::ScopeDestination];

    /// Returns the maximum number of entries in force; for a list of prefixes, of each address family.
    pub const fn max_in_force(self) -> usize {
        match self {
            Self::Bypass | Self::ScopeSource | Self::ScopeDestination => 8192,
            Self::Emergency => 512,
        }
    }

    /// Returns whether the list is one of prefixes, whose limit is for each address family.
    pub const fn has_prefixes(self) -> bool {
        matches!(self, Self::Bypass | Self::ScopeSource)
    }

    /// Returns the kind of the list.
    pub const fn kind(self) -> ListKind {
        match self {
            Self::Bypass => ListKind::Bypass,
            Self::Emergency => ListKind::Emergency,
            Self::ScopeSource | Self::ScopeDestination => ListKind::Scope,
        }
    }

    /// Returns an entry in canonical spelling: `2001:db8::1/128` for `2001:DB8::1`.
    pub fn canonical(self, text: &str) -> Result<String, InvalidEntry> {
        Ok(match self {
            Self::Bypass | Self::ScopeSource => text.parse::<Prefix>()?.to_string(),
            Self::Emergency => text.parse::<EmergencyUser>()?.to_string(),
            Self::ScopeDestination => text.parse::<Destination>()?.to_string(),
        })
    }

    /// Returns the entries that `policy` has.
    pub fn entries_in(self, policy: &Policy) -> Vec<String> {
        let Policy { bypass, emergency, scope, .. } = policy;
        match self {
            Self::Bypass => texts(bypass),
            Self::Emergency => texts(emergency),
            Self::ScopeSource => texts(scope.iter().flat_map(|scope| &scope.sources)),
            Self::ScopeDestination => texts(scope.iter().flat_map(|scope| &scope.destinations)),
        }
    }
}

fn has<T: FromStr + Ord>(set: &BTreeSet<T>, text: &str) -> bool {
    text.parse().is_ok_and(|entry| set.contains(&entry))
}

fn texts<'a, T: ToString + 'a>(entries: impl IntoIterator<Item = &'a T>) -> Vec<String> {
    entries.into_iter().map(T::to_string).collect()
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
        match (self.list.kind(), self.edit) {
            (ListKind::Bypass, Edit::Add) => "bypass.add",
            (ListKind::Bypass, Edit::Remove) => "bypass.remove",
            (ListKind::Emergency, Edit::Add) => "emergency.add",
            (ListKind::Emergency, Edit::Remove) => "emergency.remove",
            (ListKind::Scope, Edit::Add) => "scope.add",
            (ListKind::Scope, Edit::Remove) => "scope.remove",
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
        assert_eq!(change(EntryList::ScopeSource, Edit::Add, &entries), expected);
        assert_eq!(change(EntryList::Emergency, Edit::Add, &["110", "110"]), Ok(strings(&["110"])));
        let destinations = ["[2001:DB8::2]:5060", "198.18.0.2", "[2001:db8:0::2]:5060"];
        let expected = Ok(strings(&["[2001:db8::2]:5060", "198.18.0.2"]));
        assert_eq!(change(EntryList::ScopeDestination, Edit::Add, &destinations), expected);
    }

    #[test]
    fn only_an_entry_to_remove_may_be_invalid() {
        let error = change(EntryList::Bypass, Edit::Add, &["10.0.0.0/8", "198.18.1.7/15"]).unwrap_err();
        assert!(error.to_string().contains("198.18.0.0/15"), "{error}");
        change(EntryList::Emergency, Edit::Add, &["sip:911@a"]).unwrap_err();
        change(EntryList::ScopeSource, Edit::Add, &["198.18.0.2:5060"]).unwrap_err();
        change(EntryList::ScopeDestination, Edit::Add, &["198.18.0.0/15"]).unwrap_err();
        assert_eq!(change(EntryList::Bypass, Edit::Remove, &["198.18.1.7/15"]), Ok(strings(&["198.18.1.7/15"])));
    }
}
