//! The steps from one policy in the kernel to the next.

use filter_common::maps;

use super::lists::{Lists, Update};

/// A write to the kernel's maps. The program may run between any two of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Writes the policy.
    Policy(maps::Policy),
    /// Updates a list.
    List(Update),
}

/// Returns the steps from the policy `before` to `next`, except the last one, which writes `next` itself. `lists` are
/// the lists of both, if they differ.
///
/// After no step does the program refuse a call that neither policy refuses, and after no step does it pass a call that
/// both refuse. So while the lists change, only what both policies refuse is refused: off is therefore the first step,
/// and on the last. All that `next` has is inserted before the scope is switched, and what it does not have is removed
/// after that.
pub(super) fn steps(before: &maps::Policy, next: &maps::Policy, lists: Option<(&Lists, &Lists)>) -> Vec<Step> {
    // While the lists change, the maps have entries of both, so all of them are searched.
    let searched = (before.lists | next.lists) & !maps::Policy::SCOPE;
    let with_scope_of = |policy: &maps::Policy| maps::Policy {
        maintenance: before.maintenance & next.maintenance,
        methods: before.methods & next.methods,
        percent: before.percent.min(next.percent),
        lists: searched | policy.lists & maps::Policy::SCOPE,
        emergency: [before.emergency[0] | next.emergency[0], before.emergency[1] | next.emergency[1]],
        ..*next
    };
    let mut steps = vec![Step::Policy(with_scope_of(before))];
    if let Some((before, after)) = lists {
        steps.extend(before.insertions(after).into_iter().map(Step::List));
        steps.push(Step::Policy(with_scope_of(next)));
        steps.extend(before.removals(after).into_iter().map(Step::List));
    }
    steps
}

#[cfg(test)]
mod tests {
    use filter_common::maps::{self, SourceKind};
    use filter_common::sip::{Method, UserPart};

    use super::{Lists, Step, steps};
    use crate::domain::{Destination, Policy, Prefix, Scope};

    /// Sources, each with the prefixes that contain it, the longest first.
    const SOURCES: [(bool, &[&str]); 6] = [
        (true, &["10.0.0.0/24", "10.0.0.0/16", "10.0.0.0/8"]),
        (true, &["10.0.1.0/24", "10.0.0.0/16", "10.0.0.0/8"]),
        (true, &["10.0.0.0/8"]),
        (true, &[]),
        (false, &["2001:db8::/48", "2001:db8::/32"]),
        (false, &["2001:db8::/32"]),
    ];
    const PREFIXES: [&str; 6] =
        ["10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/24", "10.0.1.0/24", "2001:db8::/32", "2001:db8::/48"];
    /// Destinations, each as an entry with its port and as an entry for any port.
    const DESTINATIONS: [[&str; 2]; 2] = [["198.18.0.2:5060", "198.18.0.2"], ["[2001:db8::2]:5060", "2001:db8::2"]];
    const NUMBERS: [&str; 2] = ["911", "112"];
    const METHODS: [Method; 2] = [Method::Invite, Method::Options];
    /// Numbers that are drawn for the share.
    const LOTS: [u32; 2] = [20, 60];

    /// The kernel's maps, and the program as a model.
    #[derive(Clone)]
    struct Kernel {
        policy: maps::Policy,
        lists: Lists,
    }

    /// A call, by indices into the constants and its method and lot.
    type Call = (usize, usize, usize, Method, u32);

    fn calls() -> Vec<Call> {
        let mut calls = Vec::new();
        for source in 0..SOURCES.len() {
            for destination in 0..DESTINATIONS.len() {
                for number in 0..NUMBERS.len() {
                    calls.extend(
                        METHODS.map(|method| LOTS.map(|lot| (source, destination, number, method, lot))).concat(),
                    );
                }
            }
        }
        calls
    }

    impl Kernel {
        fn new(policy: &Policy) -> Self {
            let lists = Lists::from(policy);
            let has_scope = policy.scope.is_some();
            let policy = maps::Policy {
                maintenance: policy.maintenance.into(),
                methods: policy.methods.bits(),
                percent: policy.percent.get().into(),
                lists: lists.bits(has_scope),
                tag_prefix: 0,
                emergency: lists.emergency_bits(),
                ..maps::Policy::default()
            };
            Self { policy, lists }
        }

        fn refuses(&self, (source, destination, number, method, lot): Call) -> bool {
            let Self { policy, lists } = self;
            let has = |bit| policy.lists & bit != 0;
            let user = UserPart::new(NUMBERS[number]).unwrap();
            let is_emergency = user.has_only_bits(policy.emergency) && lists.emergency.contains(&user);
            if policy.maintenance == 0 || policy.methods & method.bit() == 0 || lot >= policy.percent || is_emergency {
                return false;
            }
            let (is_ipv4, prefixes) = SOURCES[source];
            let family = if is_ipv4 { maps::Policy::SOURCES_IPV4 } else { maps::Policy::SOURCES_IPV6 };
            let kind = prefixes.iter().find_map(|prefix| lists.sources.get(&prefix.parse::<Prefix>().unwrap()));
            match kind.filter(|_| has(family)) {
                Some(SourceKind::Bypass) => false,
                Some(SourceKind::Scope) => true,
                None if !has(maps::Policy::SCOPE) => true,
                None => {
                    let is_listed = |entry: &&str| lists.destinations.contains(&entry.parse::<Destination>().unwrap());
                    has(maps::Policy::DESTINATIONS) && DESTINATIONS[destination].iter().any(is_listed)
                }
            }
        }

        fn make(&mut self, step: Step) {
            match step {
                Step::Policy(policy) => self.policy = policy,
                Step::List(update) => self.lists.record(update),
            }
        }
    }

    /// Pseudo-random choices (xorshift64*), the same in each run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
        }

        fn some_of<T: std::str::FromStr<Err: std::fmt::Debug> + Ord>(
            &mut self,
            texts: &[&str],
        ) -> std::collections::BTreeSet<T> {
            texts.iter().filter(|_| self.below(3) == 0).map(|text| text.parse().unwrap()).collect()
        }

        fn policy(&mut self) -> Policy {
            let scope = (self.below(3) > 0).then(|| Scope {
                sources: self.some_of(&PREFIXES),
                destinations: self.some_of(&DESTINATIONS.concat()),
            });
            Policy {
                maintenance: self.below(4) > 0,
                methods: ["INVITE", "OPTIONS", "INVITE,OPTIONS"][self.below(3) as usize].parse().unwrap(),
                percent: [30, 100][self.below(2) as usize].try_into().unwrap(),
                bypass: self.some_of(&PREFIXES),
                emergency: self.some_of(&NUMBERS),
                scope,
                ..Policy::default()
            }
        }
    }

    #[test]
    fn each_step_refuses_what_both_policies_refuse_and_nothing_that_neither_refuses() {
        let (mut random, calls) = (Random(0x9e37_79b9_7f4a_7c15), calls());
        for _ in 0..2000 {
            let (before, after) = (random.policy(), random.policy());
            let (old, new) = (Kernel::new(&before), Kernel::new(&after));
            let mut kernel = old.clone();
            for step in steps(&old.policy, &new.policy, Some((&old.lists, &new.lists))) {
                kernel.make(step);
                for call in &calls {
                    let refused = [&old, &new, &kernel].map(|kernel| kernel.refuses(*call));
                    let [old, new, now] = refused;
                    assert!(
                        if now { old || new } else { !old || !new },
                        "{call:?} after {step:?}, {before:?} → {after:?}"
                    );
                }
            }
            kernel.make(Step::Policy(new.policy));
            assert_eq!((kernel.policy, kernel.lists), (new.policy, new.lists), "{before:?} → {after:?}");
        }
    }

    #[test]
    fn bypass_wins_over_a_scope_of_the_same_prefix() {
        let prefix: Prefix = "10.0.0.0/8".parse().unwrap();
        let scope = Scope { sources: [prefix].into(), ..Scope::default() };
        let lists = Lists::from(&Policy { bypass: [prefix].into(), scope: Some(scope), ..Policy::default() });
        assert_eq!(lists.sources, [(prefix, SourceKind::Bypass)].into());
    }

    #[test]
    fn change_of_a_kind_is_one_update_and_an_entry_of_both_lists_none() {
        let lists = |bypass: &[&str], sources: &[&str]| {
            let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            let scope = Scope { sources: parse(sources), ..Scope::default() };
            Lists::from(&Policy { bypass: parse(bypass), scope: Some(scope), ..Policy::default() })
        };
        let before = lists(&["10.0.0.0/8", "192.0.2.0/24"], &["198.18.0.0/15"]);
        let after = lists(&["192.0.2.0/24"], &["10.0.0.0/8", "198.18.0.0/15"]);
        let update = super::Update::SetSource("10.0.0.0/8".parse().unwrap(), SourceKind::Scope);
        assert_eq!(before.insertions(&after), [update]);
        assert_eq!(before.removals(&after), []);
    }
}
