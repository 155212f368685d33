//! Exemptions of new calls by tables that the operator maintains: bypass prefixes and emergency numbers.
#![expect(unsafe_code, reason = "a key is built in a map element, and lookups in aya's maps are unsafe")]

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{HashMap, PerCpuArray};
use filter_common::maps::{MAX_BYPASS, MAX_EMERGENCY, Policy};
use filter_common::sip::UserPart;

use crate::packet::Source;

#[map]
static EMERGENCY: HashMap<UserPart, u32> = HashMap::with_max_entries(MAX_EMERGENCY, 0);

// A trie cannot be preallocated (`trie_alloc()` in `kernel/bpf/lpm_trie.c`).
#[map]
static BYPASS_IPV4: LpmTrie<u32, u32> = LpmTrie::with_max_entries(MAX_BYPASS, BPF_F_NO_PREALLOC);

#[map]
static BYPASS_IPV6: LpmTrie<[u64; 2], u32> = LpmTrie::with_max_entries(MAX_BYPASS, BPF_F_NO_PREALLOC);

/// Memory in which the key of a trie is built: its address begins at the fourth byte, and the verifier rejects
/// unaligned words on the stack.
#[map]
static KEY: PerCpuArray<Key<[u64; 2]>> = PerCpuArray::with_max_entries(1, 0);

/// Returns whether the source is in a bypass prefix.
#[inline(always)]
pub(crate) fn is_bypassed(source: &Source, policy: &Policy) -> bool {
    let ipv4 = source.ipv4();
    let family = if ipv4.is_some() { Policy::BYPASS_IPV4 } else { Policy::BYPASS_IPV6 };
    if policy.bypass & family == 0 {
        return false;
    }
    let Some(key) = KEY.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the pointer is to this CPU's element, which has room for either key. Nothing else uses it while the
    // program runs. A `Key` is packed, so any address is aligned for it.
    unsafe {
        if let Some(ipv4) = ipv4 {
            let key = key.cast::<Key<u32>>();
            key.write(Key::new(32, ipv4));
            BYPASS_IPV4.get(&*key).is_some()
        } else {
            key.write(Key::new(128, source.address()));
            BYPASS_IPV6.get(&*key).is_some()
        }
    }
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
