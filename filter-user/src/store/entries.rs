//! The entries of the lists: what they mean, and how many of them can be in force.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use super::list_names::ListNames;
use crate::domain::{Alarm, Destination, EmergencyUser, EntryList, Policy, Prefix};

/// The entries of all lists, as written in their tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Entries of `sip_filter_bypass`.
    pub bypass: Vec<String>,
    /// Entries of `sip_filter_emergency`.
    pub emergency: Vec<String>,
    /// Entries of `sip_filter_scope_source`.
    pub scope_sources: Vec<String>,
    /// Entries of `sip_filter_scope_destination`.
    pub scope_destinations: Vec<String>,
}

impl Lists {
    /// Returns whether maintenance has a scope: it has entries, whether they can be used or not.
    pub fn have_scope(&self) -> bool {
        !self.scope_sources.is_empty() || !self.scope_destinations.is_empty()
    }
}

/// The number of valid entries of a table. Entries that differ only in spelling count once.
pub(super) struct Tally {
    list: EntryList,
    valid: usize,
    /// Entries that share one limit: all, or the prefixes of the larger address family.
    limited: usize,
}

impl Tally {
    /// Counts `entries` of the table of `list`.
    pub(super) fn new(list: EntryList, entries: &[String]) -> Self {
        let (valid, limited) = match list {
            EntryList::Bypass | EntryList::ScopeSource => {
                let prefixes: BTreeSet<Prefix> = parse_valid(entries);
                let ipv4 = prefixes.iter().filter(|prefix| prefix.is_ipv4()).count();
                (prefixes.len(), ipv4.max(prefixes.len() - ipv4))
            }
            EntryList::Emergency => {
                let users: BTreeSet<EmergencyUser> = parse_valid(entries);
                (users.len(), users.len())
            }
            EntryList::ScopeDestination => {
                let destinations: BTreeSet<Destination> = parse_valid(entries);
                (destinations.len(), destinations.len())
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

/// Puts the entries of the lists into `policy`.
///
/// An invalid entry is left out and the others count. Those of the other lists exempt calls, which must not be refused
/// because of it. In the scope, the calls that the entry is meant for pass. If a table has more entries than can be in
/// force, `policy` keeps its entries. Both raise an alarm.
pub(super) fn interpret(lists: &Lists, policy: &mut Policy, alarms: &mut Vec<Alarm>) {
    alarms.extend(adopt(EntryList::Bypass, &lists.bypass, &mut policy.bypass));
    alarms.extend(adopt(EntryList::Emergency, &lists.emergency, &mut policy.emergency));
    if !lists.have_scope() {
        policy.scope = None;
        return;
    }
    // Entries that cannot be used are a scope all the same. Without one, calls would be refused that the operator wants
    // to pass.
    let scope = policy.scope.get_or_insert_default();
    alarms.extend(adopt(EntryList::ScopeSource, &lists.scope_sources, &mut scope.sources));
    alarms.extend(adopt(EntryList::ScopeDestination, &lists.scope_destinations, &mut scope.destinations));
    if scope.is_empty() {
        alarms.push(Alarm::EmptyScope);
    }
}

/// Replaces `set` by `entries`. Returns the alarm to raise, if any.
fn adopt<T>(list: EntryList, entries: &[String], set: &mut BTreeSet<T>) -> Option<Alarm>
where
    T: FromStr<Err: Display> + Ord,
{
    let table = ListNames::of(list).table.to_owned();
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

    use super::{Lists, interpret};
    use crate::domain::{Alarm, EntryList, Policy, Scope};

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn exemptions(bypass: &[&str], emergency: &[&str]) -> Lists {
        Lists { bypass: strings(bypass), emergency: strings(emergency), ..Lists::default() }
    }

    fn scope(sources: &[&str], destinations: &[&str]) -> Lists {
        Lists { scope_sources: strings(sources), scope_destinations: strings(destinations), ..Lists::default() }
    }

    /// Returns the bypass prefixes and the emergency numbers of `policy`.
    fn entries_of(policy: &Policy) -> (Vec<String>, Vec<String>) {
        (EntryList::Bypass.entries_in(policy), EntryList::Emergency.entries_in(policy))
    }

    #[test]
    fn exemptions_in_force_are_the_entries_of_the_tables_and_empty_tables_exempt_nothing() {
        let (mut policy, mut alarms) = (Policy::default(), Vec::new());
        interpret(&exemptions(&["2001:DB8::/32", "198.18.0.1"], &["110"]), &mut policy, &mut alarms);
        assert_eq!(entries_of(&policy), (strings(&["198.18.0.1/32", "2001:db8::/32"]), strings(&["110"])));
        interpret(&Lists::default(), &mut policy, &mut alarms);
        assert_eq!(entries_of(&policy), (vec![], vec![]));
        assert_eq!(alarms, []);
    }

    #[test]
    fn invalid_entries_are_left_out_with_one_alarm_per_table() {
        let (mut policy, mut alarms) = (Policy::default(), Vec::new());
        let bypass = ["198.18.1.7/15", "10.0.0.0/8", "proxy.example.com"];
        interpret(&exemptions(&bypass, &["911", "9 1 1"]), &mut policy, &mut alarms);
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
        let mut lists = Lists { bypass: (0..=most).map(entry).collect(), ..exemptions(&[], &["911", "112", "999"]) };
        interpret(&lists, &mut policy, &mut alarms);
        assert_eq!(policy, before);
        let table = "sip_filter_bypass".to_owned();
        assert_eq!(alarms, [Alarm::TooManyEntries { table, entries: most + 1, most }]);

        // The other address family has its own limit, and two spellings of one prefix are one entry.
        lists.bypass[0] = "192.0.2.1".into();
        lists.bypass[1] = "192.0.2.1/32".into();
        lists.bypass[2] = "2001:db8:ffff:ffff::1".into();
        alarms.clear();
        interpret(&lists, &mut policy, &mut alarms);
        assert_eq!((policy.bypass.len(), alarms), (most, vec![]));
    }

    #[test]
    fn scope_has_the_entries_of_its_tables_and_empty_tables_are_no_scope() {
        let (mut policy, mut alarms) = (Policy::default(), Vec::new());
        interpret(&scope(&["2001:DB8::/32"], &["198.18.0.2:5060", "198.18.0.3"]), &mut policy, &mut alarms);
        assert_eq!(EntryList::ScopeSource.entries_in(&policy), ["2001:db8::/32"]);
        assert_eq!(EntryList::ScopeDestination.entries_in(&policy), ["198.18.0.2:5060", "198.18.0.3"]);
        interpret(&scope(&[], &["198.18.0.3"]), &mut policy, &mut alarms);
        assert_eq!(EntryList::ScopeSource.entries_in(&policy), [""; 0]);
        assert_eq!(EntryList::ScopeDestination.entries_in(&policy), ["198.18.0.3"]);
        interpret(&Lists::default(), &mut policy, &mut alarms);
        assert_eq!((policy.scope, alarms), (None, vec![]));
    }

    #[rstest]
    #[case::of_the_sources(&["198.18.1.7/15"], &[], "sip_filter_scope_source")]
    #[case::of_the_destinations(&[], &["proxy.example.com:5060"], "sip_filter_scope_destination")]
    #[case::null(&[], &[""], "sip_filter_scope_destination")]
    fn scope_of_invalid_entries_alone_holds_nothing_and_is_an_alarm(
        #[case] sources: &[&str],
        #[case] destinations: &[&str],
        #[case] table: &str,
    ) {
        let before = Scope { sources: ["192.0.2.0/24".parse().unwrap()].into(), ..Scope::default() };
        for before in [None, Some(before)] {
            let (mut policy, mut alarms) = (Policy { scope: before, ..Policy::default() }, Vec::new());
            interpret(&scope(sources, destinations), &mut policy, &mut alarms);
            assert_eq!(policy.scope, Some(Scope::default()), "without a scope, all calls would be refused");
            assert!(matches!(&alarms[..], [Alarm::BadEntries { table: t, .. }, Alarm::EmptyScope] if t == table));
        }
    }

    #[test]
    fn invalid_entry_of_the_scope_is_left_out_and_the_others_apply() {
        let (mut policy, mut alarms) = (Policy::default(), Vec::new());
        interpret(&scope(&["198.18.1.7/15", "10.0.0.0/8"], &["127.0.0.1"]), &mut policy, &mut alarms);
        assert_eq!(EntryList::ScopeSource.entries_in(&policy), ["10.0.0.0/8"]);
        let tables = ["sip_filter_scope_source", "sip_filter_scope_destination"];
        assert_eq!(alarms.len(), tables.len());
        for (alarm, name) in alarms.iter().zip(tables) {
            assert!(matches!(alarm, Alarm::BadEntries { table, entries: 1, .. } if table == name), "{alarm}");
        }
    }

    #[rstest]
    #[case::sources(EntryList::ScopeSource, &|index| format!("2001:db8:{index:x}::/48"))]
    #[case::destinations(EntryList::ScopeDestination, &|index| format!("10.0.{}.{}", index / 256, index % 256))]
    fn scope_over_the_limit_keeps_the_last_good_entries_or_else_holds_nothing(
        #[case] list: EntryList,
        #[case] entry: &dyn Fn(usize) -> String,
    ) {
        let most = list.max_in_force();
        let entries = |count| {
            let entries = (0..count).map(entry).collect();
            match list {
                EntryList::ScopeSource => Lists { scope_sources: entries, ..Lists::default() },
                _ => Lists { scope_destinations: entries, ..Lists::default() },
            }
        };
        let (mut policy, mut alarms) = (Policy::default(), Vec::new());
        interpret(&entries(most + 1), &mut policy, &mut alarms);
        assert_eq!(policy.scope, Some(Scope::default()));
        assert!(matches!(&alarms[..], [Alarm::TooManyEntries { .. }, Alarm::EmptyScope]), "{alarms:?}");

        alarms.clear();
        interpret(&entries(most), &mut policy, &mut alarms);
        assert_eq!((list.entries_in(&policy).len(), &alarms[..]), (most, &[][..]));
        interpret(&entries(most + 1), &mut policy, &mut alarms);
        assert_eq!(list.entries_in(&policy).len(), most);
        assert!(matches!(&alarms[..], [Alarm::TooManyEntries { entries, .. }] if *entries == most + 1), "{alarms:?}");
    }
}
