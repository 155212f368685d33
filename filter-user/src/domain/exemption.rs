//! Exemptions from maintenance: bypass prefixes and emergency numbers, and how they are changed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use thiserror::Error;

use super::Origin;
use crate::domain::{EmergencyUser, InvalidPrefix, InvalidUser, Policy, Prefix};

/// One of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exemption {
    /// `sip_filter_bypass`: where calls come from that are never refused.
    Bypass,
    /// `sip_filter_emergency`: whom to call is never refused.
    Emergency,
}

/// Why a text is no entry of a table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidEntry {
    /// Of the bypass table.
    #[error(transparent)]
    Prefix(#[from] InvalidPrefix),
    /// Of the emergency table.
    #[error(transparent)]
    User(#[from] InvalidUser),
}

/// What is done to entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// They are there afterwards. One that is there already stays as it is, with who added it and why.
    Add,
    /// They are not there afterwards.
    Remove,
}

/// A change of a table that somebody asks for.
#[derive(Clone, Debug)]
pub struct Change {
    /// The table.
    pub exemption: Exemption,
    /// What is done.
    pub edit: Edit,
    /// To which entries.
    entries: Vec<String>,
    /// Who asks for it, and why.
    pub origin: Origin,
}

/// What a change has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Entries that it has added or removed.
    pub changed: Vec<String>,
    /// Entries that were there, or not there, already.
    pub unchanged: Vec<String>,
    /// How many entries the table has now that can be used.
    pub left: usize,
}

/// An entry, as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The prefix or user part.
    pub text: String,
    /// Why it was added.
    pub why: Option<String>,
    /// Who added it; `None` if it was not one of our commands.
    pub actor: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
}

impl Entry {
    /// What is wrong with it, if it cannot be used.
    pub fn problem(&self, exemption: Exemption) -> Option<String> {
        exemption.canonical(&self.text).err().map(|error| error.to_string())
    }
}

impl Exemption {
    /// What commands and methods call the table: `bypass.add` is a method.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Emergency => "emergency",
        }
    }

    /// The member of JSON that is an entry.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Bypass => "prefix",
            Self::Emergency => "user",
        }
    }

    /// The member of JSON that is several entries.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Bypass => "prefixes",
            Self::Emergency => "users",
        }
    }

    /// Returns the maximum number of entries in force; for bypass prefixes, of each address family.
    pub const fn max_in_force(self) -> usize {
        match self {
            Self::Bypass => 8192,
            Self::Emergency => 512,
        }
    }

    /// An entry in the one spelling that it has with us: `2001:DB8::1` is `2001:db8::1/128`.
    pub fn canonical(self, text: &str) -> Result<String, InvalidEntry> {
        Ok(match self {
            Self::Bypass => text.parse::<Prefix>()?.to_string(),
            Self::Emergency => text.parse::<EmergencyUser>()?.to_string(),
        })
    }

    /// Whether `policy` has this entry.
    pub fn is_in(self, policy: &Policy, text: &str) -> bool {
        match self {
            Self::Bypass => text.parse().is_ok_and(|prefix| policy.bypass.contains(&prefix)),
            Self::Emergency => text.parse().is_ok_and(|user| policy.emergency.contains(&user)),
        }
    }

    /// The entries that `policy` has.
    pub fn of(self, policy: &Policy) -> Vec<String> {
        match self {
            Self::Bypass => policy.bypass.iter().map(Prefix::to_string).collect(),
            Self::Emergency => policy.emergency.iter().map(EmergencyUser::to_string).collect(),
        }
    }
}

impl Edit {
    /// As commands and methods have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }

    /// The members of JSON for the entries that were changed, and those that there was nothing to change about.
    pub const fn outcomes(self) -> (&'static str, &'static str) {
        match self {
            Self::Add => ("added", "present"),
            Self::Remove => ("removed", "absent"),
        }
    }
}

impl Change {
    /// A change of these entries, each of which is named once in the end.
    ///
    /// What is added has to be an entry that can be used. What is removed may be one that cannot, as it stands in the
    /// table: else nobody could get rid of it without SQL.
    pub fn new(exemption: Exemption, edit: Edit, entries: &[String], origin: Origin) -> Result<Self, InvalidEntry> {
        let mut seen = BTreeSet::new();
        let mut unique = Vec::new();
        for text in entries {
            let entry = match (exemption.canonical(text), edit) {
                (Ok(entry), _) => entry,
                (Err(_), Edit::Remove) => text.clone(),
                (Err(error), Edit::Add) => return Err(error),
            };
            if seen.insert(entry.clone()) {
                unique.push(entry);
            }
        }
        Ok(Self { exemption, edit, entries: unique, origin })
    }

    /// To which entries, in our spelling.
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// As the event table has it: `bypass.add` and the like.
    pub const fn action(&self) -> &'static str {
        match (self.exemption, self.edit) {
            (Exemption::Bypass, Edit::Add) => "bypass.add",
            (Exemption::Bypass, Edit::Remove) => "bypass.remove",
            (Exemption::Emergency, Edit::Add) => "emergency.add",
            (Exemption::Emergency, Edit::Remove) => "emergency.remove",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Channel;
    use super::{Change, Edit, Exemption, InvalidEntry, Origin};

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn change(exemption: Exemption, edit: Edit, entries: &[&str]) -> Result<Vec<String>, InvalidEntry> {
        let origin = Origin { actor: "alice".into(), why: None, channel: Channel::Daemon, node: "sbc1".into() };
        Ok(Change::new(exemption, edit, &strings(entries), origin)?.entries().to_vec())
    }

    #[test]
    fn a_change_names_each_entry_once_in_our_spelling() {
        let entries = ["2001:DB8::1", "10.0.0.0/8", "2001:db8:0::1/128"];
        let expected = Ok(strings(&["2001:db8::1/128", "10.0.0.0/8"]));
        assert_eq!(change(Exemption::Bypass, Edit::Add, &entries), expected);
        assert_eq!(change(Exemption::Bypass, Edit::Remove, &entries), expected);
        assert_eq!(change(Exemption::Emergency, Edit::Add, &["110", "110"]), Ok(strings(&["110"])));
    }

    #[test]
    fn only_what_is_removed_may_be_unusable() {
        let error = change(Exemption::Bypass, Edit::Add, &["10.0.0.0/8", "198.18.1.7/15"]).unwrap_err();
        assert!(error.to_string().contains("198.18.0.0/15"), "{error}");
        assert!(change(Exemption::Emergency, Edit::Add, &["sip:911@a"]).is_err());
        assert_eq!(change(Exemption::Bypass, Edit::Remove, &["198.18.1.7/15"]), Ok(strings(&["198.18.1.7/15"])));
    }
}
