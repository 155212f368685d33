//! The lists of a policy in the form of the XDP program: bypass prefixes, emergency numbers and the scope.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use filter_common::maps::{self, SourceKind};
use filter_common::sip::UserPart;

use crate::domain::{Destination, EmergencyUser, Policy, Prefix};

/// The lists of a policy: the contents of the kernel's maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Prefixes of callers: bypass prefixes and sources of the scope.
    pub sources: BTreeMap<Prefix, SourceKind>,
    /// Destinations of the scope.
    pub destinations: BTreeSet<Destination>,
    /// Emergency numbers.
    pub emergency: HashSet<UserPart>,
}

/// An update of one entry of the kernel's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// Inserts a prefix, or replaces its kind.
    SetSource(Prefix, SourceKind),
    RemoveSource(Prefix),
    AddDestination(Destination),
    RemoveDestination(Destination),
    AddEmergency(UserPart),
    RemoveEmergency(UserPart),
}

impl Lists {
    /// Returns [`maps::Policy::lists`] for these lists, with or without a scope.
    pub fn bits(&self, has_scope: bool) -> u32 {
        let has_family = |is_ipv4| self.sources.keys().any(|prefix| prefix.is_ipv4() == is_ipv4);
        let bits = [
            (has_family(true), maps::Policy::SOURCES_IPV4),
            (has_family(false), maps::Policy::SOURCES_IPV6),
            (!self.destinations.is_empty(), maps::Policy::DESTINATIONS),
            (has_scope, maps::Policy::SCOPE),
        ];
        bits.into_iter().filter(|(is_set, _)| *is_set).fold(0, |bits, (_, bit)| bits | bit)
    }

    /// Returns [`maps::Policy::emergency`] for these lists.
    pub fn emergency_bits(&self) -> [u64; 2] {
        UserPart::combined_bits(self.emergency.iter().copied())
    }

    /// Returns the updates that insert what `next` has and these lists do not.
    ///
    /// Longer prefixes come first. So the longest prefix of any caller is, at each moment, that of these lists or that
    /// of `next`, and never another one of `next`.
    pub(super) fn insertions(&self, next: &Self) -> Vec<Update> {
        let is_new = |(prefix, kind): &(&Prefix, &SourceKind)| self.sources.get(prefix) != Some(kind);
        let mut sources: Vec<_> = next.sources.iter().filter(is_new).collect();
        sources.sort_by_key(|(prefix, _)| Reverse(prefix.length()));
        let emergency = next.emergency.difference(&self.emergency).map(|user| Update::AddEmergency(*user));
        let sources = sources.into_iter().map(|(prefix, kind)| Update::SetSource(*prefix, *kind));
        let destinations = next.destinations.difference(&self.destinations).map(|new| Update::AddDestination(*new));
        emergency.chain(sources).chain(destinations).collect()
    }

    /// Returns the updates that remove what these lists have and `next` does not.
    ///
    /// Shorter prefixes come first, for the reason of [`insertions`](Self::insertions).
    pub(super) fn removals(&self, next: &Self) -> Vec<Update> {
        let mut sources: Vec<_> = self.sources.keys().filter(|prefix| !next.sources.contains_key(prefix)).collect();
        sources.sort_by_key(|prefix| prefix.length());
        let destinations = self.destinations.difference(&next.destinations).map(|old| Update::RemoveDestination(*old));
        let sources = sources.into_iter().map(|prefix| Update::RemoveSource(*prefix));
        let emergency = self.emergency.difference(&next.emergency).map(|user| Update::RemoveEmergency(*user));
        destinations.chain(sources).chain(emergency).collect()
    }

    /// Makes the update in these lists, as it was made in the kernel.
    pub(super) fn record(&mut self, update: Update) {
        match update {
            Update::SetSource(prefix, kind) => _ = self.sources.insert(prefix, kind),
            Update::RemoveSource(prefix) => _ = self.sources.remove(&prefix),
            Update::AddDestination(destination) => _ = self.destinations.insert(destination),
            Update::RemoveDestination(destination) => _ = self.destinations.remove(&destination),
            Update::AddEmergency(user) => _ = self.emergency.insert(user),
            Update::RemoveEmergency(user) => _ = self.emergency.remove(&user),
        }
    }
}

impl From<&Policy> for Lists {
    fn from(Policy { bypass, emergency, scope, .. }: &Policy) -> Self {
        let scope_sources = scope.iter().flat_map(|scope| &scope.sources).map(|prefix| (*prefix, SourceKind::Scope));
        // Inserted last: of two entries with the same prefix, bypass wins.
        let bypass = bypass.iter().map(|prefix| (*prefix, SourceKind::Bypass));
        Self {
            sources: scope_sources.chain(bypass).collect(),
            destinations: scope.iter().flat_map(|scope| &scope.destinations).copied().collect(),
            emergency: emergency.iter().filter_map(EmergencyUser::key).collect(),
        }
    }
}
