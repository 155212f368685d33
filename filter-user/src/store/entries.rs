//! The entries of the lists: what they mean, and how many of them can be in force.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use crate::domain::{Alarm, EmergencyUser, EntryList, Policy, Prefix};

/// Returns the name of the table that holds the entries of `list`.
pub(super) const fn table(list: EntryList) -> &'static str {
    match list {
        EntryList::Bypass => "sip_filter_bypass",
        EntryList::Emergency => "sip_filter_emergency",
    }
}

/// The number of valid entries of a table. Entries that differ only in spelling count once.
pub(super) struct Tally {
    list: EntryList,
    valid: usize,
    /// Entries that share one limit: all emergency numbers, or the prefixes of the larger address family.
    limited: usize,
}

impl Tally {
    /// Counts `entries` of the table of `list`.
    pub(super) fn new(list: EntryList, entries: &[String]) -> Self {
        let (valid, limited) = match list {
            EntryList::Bypass => {
                let prefixes: BTreeSet<Prefix> = parse_valid(entries);
                let ipv4 = prefixes.iter().filter(|prefix| prefix.is_ipv4()).count();
                (prefixes.len(), ipv4.max(prefixes.len() - ipv4))
            }
            EntryList::Emergency => {
                let users: BTreeSet<EmergencyUser> = parse_valid(entries);
                (users.len(), users.len())
            }
        };
        Self { list, valid, limited }
    }

    /// Returns the number of valid entries.
    pub(super) const fn valid(&self) -> usize {
        self.valid
    }

    /// Returns whether there are more entries than can be in force.
    pub(super) const fn is_over_limit(&self) -> bool {
        self.limited > self.list.max_in_force()
    }
}

fn parse_valid<T: FromStr + Ord>(entries: &[String]) -> BTreeSet<T> {
    entries.iter().filter_map(|entry| entry.parse().ok()).collect()
}

/// Puts the entries of both tables into `policy`.
///
/// An invalid entry is left out and the others count: the calls that they exempt must not be refused because of it.
/// If a table has more entries than can be in force, `policy` keeps its entries. Both raise an alarm.
pub(super) fn interpret(bypass: &[String], emergency: &[String], policy: &mut Policy, alarms: &mut Vec<Alarm>) {
    alarms.extend(adopt(EntryList::Bypass, bypass, &mut policy.bypass));
    alarms.extend(adopt(EntryList::Emergency, emergency, &mut policy.emergency));
}

/// Replaces `set` by `entries`. Returns the alarm to raise, if any.
fn adopt<T>(list: EntryList, entries: &[String], set: &mut BTreeSet<T>) -> Option<Alarm>
where
    T: FromStr<Err: Display> + Ord,
{
    let table = table(list).to_owned();
    let tally = Tally::new(list, entries);
    if tally.is_over_limit() {
        return Some(Alarm::TooManyEntries { table, entries: tally.limited, most: list.max_in_force() });
    }
    set.clear();
    let mut invalid = Vec::new();
    for entry in entries {
        match entry.parse() {
            Ok(value) => drop(set.insert(value)),
            Err(error) => invalid.push((entry, error)),
        }
    }
    let (first, error) = invalid.first()?;
    let (first, problem) = ((*first).clone(), error.to_string());
    Some(Alarm::BadEntries { table, entries: invalid.len(), first, problem })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::interpret;
    use crate::domain::{Alarm, EntryList, Policy};

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// Returns the bypass prefixes and the emergency numbers of `policy`.
    fn entries_of(policy: &Policy) -> (Vec<String>, Vec<String>) {
        (EntryList::Bypass.entries_in(policy), EntryList::Emergency.entries_in(policy))
    }

    #[test]
    fn exemptions_in_force_are_the_entries_of_the_tables_and_empty_tables_exempt_nothing() {
        let (mut policy, mut alarms) = (Policy::default(), Vec::new());
        interpret(&strings(&["2001:DB8::/32", "198.18.0.1"]), &strings(&["110"]), &mut policy, &mut alarms);
        assert_eq!(entries_of(&policy), (strings(&["198.18.0.1/32", "2001:db8::/32"]), strings(&["110"])));
        interpret(&[], &[], &mut policy, &mut alarms);
        assert_eq!(entries_of(&policy), (vec![], vec![]));
        assert_eq!(alarms, []);
    }

    #[test]
    fn invalid_entries_are_left_out_with_one_alarm_per_table() {
        let (mut policy, mut alarms) = (Policy::default(), Vec::new());
        let bypass = strings(&["198.18.1.7/15", "10.0.0.0/8", "proxy.example.com"]);
        interpret(&bypass, &strings(&["911", "9 1 1"]), &mut policy, &mut alarms);
        assert_eq!(entries_of(&policy), (strings(&["10.0.0.0/8"]), strings(&["911"])));
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
    fn table_over_the_limit_leaves_the_last_good_entries_in_force(#[case] entry: &dyn Fn(usize) -> String) {
        let mut policy = Policy { bypass: ["192.0.2.0/24".parse().unwrap()].into(), ..Policy::default() };
        let (before, mut alarms) = (policy.clone(), Vec::new());
        let most = EntryList::Bypass.max_in_force();
        let mut entries: Vec<String> = (0..=most).map(entry).collect();
        interpret(&entries, &strings(&["911", "112", "999"]), &mut policy, &mut alarms);
        assert_eq!(policy, before);
        let table = "sip_filter_bypass".to_owned();
        assert_eq!(alarms, [Alarm::TooManyEntries { table, entries: most + 1, most }]);

        // The other address family has its own limit, and two spellings of one prefix are one entry.
        entries[0] = "192.0.2.1".into();
        entries[1] = "192.0.2.1/32".into();
        entries[2] = "2001:db8:ffff:ffff::1".into();
        alarms.clear();
        interpret(&entries, &[], &mut policy, &mut alarms);
        assert_eq!((policy.bypass.len(), alarms), (most, vec![]));
    }
}
