//! Exemptions of new calls by tables that the operator maintains: bypass prefixes and emergency numbers.
#![expect(unsafe_code, reason = "lookups in aya's hash maps are unsafe")]

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use filter_common::maps::{MAX_BYPASS, MAX_EMERGENCY, Policy};
use filter_common::sip::UserPart;

use crate::packet::Endpoints;
use crate::trie_key;

#[map]
static EMERGENCY: HashMap<UserPart, u32> = HashMap::with_max_entries(MAX_EMERGENCY, 0);

// A trie cannot be preallocated (`trie_alloc()` in `kernel/bpf/lpm_trie.c`).
#[map]
static BYPASS_IPV4: LpmTrie<u32, u32> = LpmTrie::with_max_entries(MAX_BYPASS, BPF_F_NO_PREALLOC);

#[map]
static BYPASS_IPV6: LpmTrie<[u64; 2], u32> = LpmTrie::with_max_entries(MAX_BYPASS, BPF_F_NO_PREALLOC);

/// Returns whether the source is in a bypass prefix.
#[inline(always)]
pub(crate) fn is_bypassed(endpoints: &Endpoints, policy: &Policy) -> bool {
    let ipv4 = endpoints.ipv4_source();
    let family = if ipv4.is_some() { Policy::BYPASS_IPV4 } else { Policy::BYPASS_IPV6 };
    if policy.bypass & family == 0 {
        return false;
    }
    match ipv4 {
        Some(ipv4) => trie_key::with_ipv4(ipv4, |key| BYPASS_IPV4.get(key).is_some()),
        None => trie_key::with_ipv6(endpoints.source(), |key| BYPASS_IPV6.get(key).is_some()),
    }
    .unwrap_or(false)
}

/// Returns whether a call to `user` is an emergency call.
#[inline(always)]
pub(crate) fn is_emergency(user: &UserPart, policy: &Policy) -> bool {
    if !user.has_only_bits(policy.emergency) {
        return false;
    }
    // SAFETY: nothing is read through the reference. Only its presence matters.
    unsafe { EMERGENCY.get(user) }.is_some()
}
