//! Exemptions from maintenance: bypass prefixes and emergency numbers, and how they are changed.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use filter_common::maps::{MAX_BYPASS, MAX_EMERGENCY};
use jiff::Timestamp;
use thiserror::Error;

use super::Origin;
use crate::domain::{Alarm, EmergencyUser, InvalidPrefix, InvalidUser, Policy, Prefix};

/// A kind of exemption, with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exemption {
    /// Calls from a prefix.
    Bypass,
    /// Calls to a number.
    Emergency,
}

/// The error of a text that is not an entry of a table.
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

/// A change of a table that somebody asks for.
#[derive(Clone, Debug)]
pub struct Change {
    /// Table to change.
    pub exemption: Exemption,
    /// Direction.
    pub edit: Edit,
    entries: Vec<String>,
    /// Person who asks for it, with the reason.
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

/// An entry of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Prefix or user part, as the table has it.
    pub text: String,
    /// Reason why it was added.
    pub why: Option<String>,
    /// User who added it; `None` if it was not one of our commands.
    pub actor: Option<String>,
    /// Time at which it was added.
    pub at: Option<Timestamp>,
}

impl Entry {
    /// Returns the reason why the entry cannot be used; `None` if it can.
    pub fn problem(&self, exemption: Exemption) -> Option<String> {
        exemption.canonical(&self.text).err().map(|error| error.to_string())
    }
}

/// How many entries of a table can be used.
pub(crate) struct Tally {
    /// All.
    pub(crate) usable: usize,
    /// Those that share a map in the kernel: of one address family, or all emergency numbers.
    pub(crate) largest: usize,
}

impl Exemption {
    /// Name of the table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Bypass => "sip_filter_bypass",
            Self::Emergency => "sip_filter_emergency",
        }
    }

    /// Name of the column that has the entries.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Bypass => "prefix",
            Self::Emergency => "user_part",
        }
    }

    /// How many entries can be in force, of each address family where there are two: half of what the kernel's map
    /// holds.
    ///
    /// The data plane puts in what is new before it takes out what is old, so that what stays is never missing; a table
    /// that is replaced whole needs room for both. A map that is full would end the daemon.
    pub const fn most(self) -> usize {
        // Both are far below what a usize holds.
        match self {
            Self::Bypass => MAX_BYPASS as usize / 2,
            Self::Emergency => MAX_EMERGENCY as usize / 2,
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

    pub(crate) fn tally(self, entries: &[String]) -> Tally {
        match self {
            Self::Bypass => {
                let prefixes: BTreeSet<Prefix> = entries.iter().filter_map(|entry| entry.parse().ok()).collect();
                let ipv4 = prefixes.iter().filter(|prefix| prefix.is_ipv4()).count();
                Tally { usable: prefixes.len(), largest: ipv4.max(prefixes.len() - ipv4) }
            }
            Self::Emergency => {
                let users: BTreeSet<EmergencyUser> = entries.iter().filter_map(|entry| entry.parse().ok()).collect();
                Tally { usable: users.len(), largest: users.len() }
            }
        }
    }
}

impl Change {
    /// Creates a change of these entries, each in canonical spelling and once.
    ///
    /// An entry to add must be valid. An entry to remove may be invalid, as it is in the table: otherwise only SQL
    /// could remove it.
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

    /// Returns the entries.
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// Returns the name of the change in the event table: `bypass.add` and the like.
    pub const fn action(&self) -> &'static str {
        match (self.exemption, self.edit) {
            (Exemption::Bypass, Edit::Add) => "bypass.add",
            (Exemption::Bypass, Edit::Remove) => "bypass.remove",
            (Exemption::Emergency, Edit::Add) => "emergency.add",
            (Exemption::Emergency, Edit::Remove) => "emergency.remove",
        }
    }
}

/// Puts the entries of both tables into `policy`.
///
/// An entry that cannot be used is left out, and the others count: the calls that they exempt must not be refused for
/// it. Of a table that is too large for the kernel the last good entries, those in `policy`, stay.
pub(crate) fn interpret_exemptions(
    bypass: &[String],
    emergency: &[String],
    policy: &mut Policy,
    alarms: &mut Vec<Alarm>,
) {
    take(Exemption::Bypass, bypass, &mut policy.bypass, alarms);
    take(Exemption::Emergency, emergency, &mut policy.emergency, alarms);
}

fn take<T>(exemption: Exemption, entries: &[String], set: &mut BTreeSet<T>, alarms: &mut Vec<Alarm>)
where
    T: FromStr<Err: Display> + Ord,
{
    let table = exemption.table().to_owned();
    let largest = exemption.tally(entries).largest;
    if largest > exemption.most() {
        alarms.push(Alarm::TooManyEntries { table, entries: largest, most: exemption.most() });
        return;
    }
    set.clear();
    let mut bad = Vec::new();
    for entry in entries {
        match entry.parse() {
            Ok(value) => drop(set.insert(value)),
            Err(error) => bad.push((entry, error)),
        }
    }
    if let Some((first, error)) = bad.first() {
        let (first, problem) = ((*first).clone(), error.to_string());
        alarms.push(Alarm::BadEntries { table, entries: bad.len(), first, problem });
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Channel;
    use super::{Change, Edit, Exemption, InvalidEntry, MAX_BYPASS, MAX_EMERGENCY, Origin, interpret_exemptions};
    use crate::domain::{Alarm, Policy};

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn change(exemption: Exemption, edit: Edit, entries: &[&str]) -> Result<Vec<String>, InvalidEntry> {
        let origin = Origin { actor: "alice".into(), why: None, channel: Channel::Daemon, node: "sbc1".into() };
        Ok(Change::new(exemption, edit, &strings(entries), origin)?.entries().to_vec())
    }

    fn shown(policy: &Policy) -> (Vec<String>, Vec<String>) {
        (Exemption::Bypass.entries_in(policy), Exemption::Emergency.entries_in(policy))
    }

    #[test]
    fn the_tables_are_what_they_say_and_no_entry_is_no_exemption() {
        let (mut policy, mut alarms) = (Policy::default(), Vec::new());
        interpret_exemptions(&strings(&["2001:DB8::/32", "198.18.0.1"]), &strings(&["110"]), &mut policy, &mut alarms);
        assert_eq!(shown(&policy), (strings(&["198.18.0.1/32", "2001:db8::/32"]), strings(&["110"])));
        interpret_exemptions(&[], &[], &mut policy, &mut alarms);
        assert_eq!(shown(&policy), (vec![], vec![]));
        assert_eq!(alarms, []);
    }

    #[test]
    fn entries_that_cannot_be_used_are_left_out_with_one_alarm_a_table() {
        let (mut policy, mut alarms) = (Policy::default(), Vec::new());
        let bypass = strings(&["198.18.1.7/15", "10.0.0.0/8", "proxy.example.com"]);
        interpret_exemptions(&bypass, &strings(&["911", "9 1 1"]), &mut policy, &mut alarms);
        assert_eq!(shown(&policy), (strings(&["10.0.0.0/8"]), strings(&["911"])));
        let texts: Vec<String> = alarms.iter().map(Alarm::to_string).collect();
        assert_eq!(texts.len(), 2);
        for part in ["2 entries of sip_filter_bypass", "\"198.18.1.7/15\"", "198.18.0.0/15 would be the whole range"] {
            assert!(texts[0].contains(part), "{part}: {}", texts[0]);
        }
        assert!(texts[1].contains("1 entry of sip_filter_emergency") && texts[1].contains("\"9 1 1\""), "{}", texts[1]);
    }

    #[rstest]
    #[case::ipv4(&|index| format!("10.{}.{}.0/24", index / 256, index % 256))]
    #[case::ipv6(&|index| format!("2001:db8:{index:x}::/48"))]
    fn a_table_that_is_too_large_for_the_kernel_keeps_the_last_good_entries(#[case] entry: &dyn Fn(usize) -> String) {
        let mut policy = Policy { bypass: ["192.0.2.0/24".parse().unwrap()].into(), ..Policy::default() };
        let (before, mut alarms) = (policy.clone(), Vec::new());
        let most = Exemption::Bypass.most();
        let mut entries: Vec<String> = (0..=most).map(entry).collect();
        interpret_exemptions(&entries, &strings(&["911", "112", "999"]), &mut policy, &mut alarms);
        assert_eq!(policy, before);
        let table = "sip_filter_bypass".to_owned();
        assert_eq!(alarms, [Alarm::TooManyEntries { table, entries: most + 1, most }]);

        // The other family has a map of its own, and what is there twice is one entry.
        entries[0] = "192.0.2.1".into();
        entries[1] = "192.0.2.1/32".into();
        entries[2] = "2001:db8:ffff:ffff::1".into();
        alarms.clear();
        interpret_exemptions(&entries, &[], &mut policy, &mut alarms);
        assert_eq!((policy.bypass.len(), alarms), (most, vec![]));
    }

    #[test]
    fn the_kernels_maps_hold_an_old_and_a_new_set_at_a_time() {
        assert!(2 * Exemption::Bypass.most() <= MAX_BYPASS as usize);
        assert!(2 * Exemption::Emergency.most() <= MAX_EMERGENCY as usize);
    }

    #[test]
    fn change_has_each_entry_once_in_canonical_spelling() {
        let entries = ["2001:DB8::1", "10.0.0.0/8", "2001:db8:0::1/128"];
        let expected = Ok(strings(&["2001:db8::1/128", "10.0.0.0/8"]));
        assert_eq!(change(Exemption::Bypass, Edit::Add, &entries), expected);
        assert_eq!(change(Exemption::Bypass, Edit::Remove, &entries), expected);
        assert_eq!(change(Exemption::Emergency, Edit::Add, &["110", "110"]), Ok(strings(&["110"])));
    }

    #[test]
    fn only_an_entry_to_remove_may_be_invalid() {
        let error = change(Exemption::Bypass, Edit::Add, &["10.0.0.0/8", "198.18.1.7/15"]).unwrap_err();
        assert!(error.to_string().contains("198.18.0.0/15"), "{error}");
        assert!(change(Exemption::Emergency, Edit::Add, &["sip:911@a"]).is_err());
        assert_eq!(change(Exemption::Bypass, Edit::Remove, &["198.18.1.7/15"]), Ok(strings(&["198.18.1.7/15"])));
    }
}
