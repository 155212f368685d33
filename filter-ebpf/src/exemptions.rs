//! What makes a call pass although it is new, by tables that the operator keeps.

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

/// Where the key for a trie is put together. Its address is four octets in, and on the stack the verifier accepts no
/// word that is not aligned.
#[map]
static KEY: PerCpuArray<Key<[u64; 2]>> = PerCpuArray::with_max_entries(1, 0);

/// Whether the source is in a bypass prefix.
#[inline(always)]
pub fn is_bypassed(source: &Source, policy: &Policy) -> bool {
    let ipv4 = source.ipv4();
    let family = if ipv4.is_some() { Policy::BYPASS_IPV4 } else { Policy::BYPASS_IPV6 };
    if policy.bypass & family == 0 {
        return false;
    }
    let Some(key) = KEY.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the pointer is to this CPU's own element, which has room for either key, and which nothing else uses while
    // the program runs; a `Key` is packed, so that any address is aligned for it.
    unsafe {
        if let Some(ipv4) = ipv4 {
            let key = key.cast::<Key<u32>>();
            key.write(Key::new(32, ipv4));
            BYPASS_IPV4.get(&*key).is_some()
        } else {
            key.write(Key::new(128, source.address));
            BYPASS_IPV6.get(&*key).is_some()
        }
    }
}

/// Whether a call to `user` is an emergency call.
#[inline(always)]
pub fn is_emergency(user: &UserPart, policy: &Policy) -> bool {
    if !user.has_only_bits(policy.emergency) {
        return false;
    }
    // SAFETY: only whether there is an element matters, nothing is read through the reference.
    unsafe { EMERGENCY.get(user) }.is_some()
}
