//! New calls that pass because of tables that the operator maintains: bypass prefixes, emergency numbers, and the scope
//! of maintenance.
#![expect(unsafe_code, reason = "lookups in aya's hash maps are unsafe")]

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use filter_common::maps::{MAX_EMERGENCY, MAX_SCOPE_DESTINATIONS, MAX_SOURCES, Policy, ScopeDestination, SourceKind};
use filter_common::sip::UserPart;
use filter_common::verdict::Verdict;

use crate::packet::Flow;
use crate::trie_key;

#[map]
static EMERGENCY: HashMap<UserPart, u32> = HashMap::with_max_entries(MAX_EMERGENCY, 0);

// A trie cannot be preallocated (`trie_alloc()` in `kernel/bpf/lpm_trie.c`).
#[map]
static SOURCES_IPV4: LpmTrie<u32, u32> = LpmTrie::with_max_entries(MAX_SOURCES, BPF_F_NO_PREALLOC);

#[map]
static SOURCES_IPV6: LpmTrie<[u64; 2], u32> = LpmTrie::with_max_entries(MAX_SOURCES, BPF_F_NO_PREALLOC);

// Mostly empty, and not worth the memory for all entries that it may have.
#[map]
static SCOPE_DESTINATIONS: HashMap<ScopeDestination, u32> =
    HashMap::with_max_entries(MAX_SCOPE_DESTINATIONS, BPF_F_NO_PREALLOC);

/// Returns the verdict on the new requests of a flow that pass because of their source or because maintenance is not
/// about them, or `None` if neither is the case.
#[inline(always)]
pub(crate) fn by_flow(flow: &Flow, policy: &Policy) -> Option<Verdict> {
    let lists = policy.lists;
    if lists == 0 {
        return None;
    }
    match source_kind(flow, lists) {
        Some(kind) if kind == SourceKind::Bypass as u32 => Some(Verdict::Bypass),
        Some(_) => None,
        None if lists & Policy::SCOPE == 0 || is_destination(flow, lists) => None,
        None => Some(Verdict::OutOfScope),
    }
}

/// Returns the [`SourceKind`] of the longest prefix that the source is in, as a number.
#[inline(always)]
fn source_kind(flow: &Flow, lists: u32) -> Option<u32> {
    match flow.ipv4_source() {
        Some(_) if lists & Policy::SOURCES_IPV4 == 0 => None,
        Some(ipv4) => trie_key::with_ipv4(ipv4, |key| SOURCES_IPV4.get(key).copied()).flatten(),
        None if lists & Policy::SOURCES_IPV6 == 0 => None,
        None => trie_key::with_ipv6(flow.source(), |key| SOURCES_IPV6.get(key).copied()).flatten(),
    }
}

/// Returns whether calls to the destination, on its port or on any, are in the scope of maintenance.
#[inline(always)]
fn is_destination(flow: &Flow, lists: u32) -> bool {
    if lists & Policy::DESTINATIONS == 0 {
        return false;
    }
    let address = flow.destination();
    // SAFETY: nothing is read through the reference. Only its presence matters.
    let has = |port| unsafe { SCOPE_DESTINATIONS.get(ScopeDestination { address, port, reserved: 0 }) }.is_some();
    has(flow.destination_port().into()) || has(ScopeDestination::ANY_PORT)
}

/// Returns whether a call to `user` is an emergency call.
#[inline(always)]
pub(crate) fn is_emergency(user: &UserPart, policy: &Policy) -> bool {
    if !user.has_only_bits(policy.emergency) {
        return false;
    }
    // SAFETY: as in `is_destination`.
    unsafe { EMERGENCY.get(user) }.is_some()
}
