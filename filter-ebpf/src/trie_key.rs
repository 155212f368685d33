//! Keys for lookups of whole addresses in LPM tries.
#![expect(unsafe_code, reason = "a key is built in a map element")]

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::maps::lpm_trie::Key;

/// Memory in which a key is built: its address begins at the fourth byte, and the verifier rejects unaligned words on
/// the stack.
#[map]
static KEY: PerCpuArray<Key<[u64; 2]>> = PerCpuArray::with_max_entries(1, 0);

/// Calls `look_up` with the key of an IPv4 address (network byte order).
#[inline(always)]
pub(crate) fn with_ipv4<T>(address: u32, look_up: impl FnOnce(&Key<u32>) -> T) -> Option<T> {
    let key = KEY.get_ptr_mut(0)?.cast::<Key<u32>>();
    // SAFETY: the pointer is to this CPU's element, which has room for either key. Nothing else uses it until `look_up`
    // returns. A `Key` is packed, so any address is aligned for it.
    unsafe {
        key.write(Key::new(32, address));
        Some(look_up(&*key))
    }
}

/// Calls `look_up` with the key of an IPv6 address (network byte order).
#[inline(always)]
pub(crate) fn with_ipv6<T>(address: [u64; 2], look_up: impl FnOnce(&Key<[u64; 2]>) -> T) -> Option<T> {
    let key = KEY.get_ptr_mut(0)?;
    // SAFETY: as in `with_ipv4`.
    unsafe {
        key.write(Key::new(128, address));
        Some(look_up(&*key))
    }
}
