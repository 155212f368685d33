//! Prefetching of frames: another CPU has written them, and its cache lines arrive while this CPU does something else.

/// Length of a cache line in bytes, on all CPUs that AF_XDP is used on.
const CACHE_LINE: usize = 64;
/// Number of bytes that are prefetched: the length of most requests.
const PREFETCHED: usize = 1024;

/// Prefetches the first bytes of `frame`.
#[inline(always)]
pub(super) fn prefetch(frame: &[u8]) {
    frame.chunks(CACHE_LINE).take(PREFETCHED / CACHE_LINE).for_each(|line| prefetch_line(line.as_ptr()));
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a prefetch by address is an unsafe function")]
#[inline(always)]
fn prefetch_line(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction belongs to SSE, which every x86-64 CPU has. It is a hint and has no architectural effect,
    // whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
}

#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "a prefetch needs inline assembly")]
#[inline(always)]
fn prefetch_line(line: *const u8) {
    // SAFETY: PRFM is a hint and has no architectural effect, whatever the address (Arm ARM, C6.2).
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{line}]", line = in(reg) line, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn prefetch_line(_line: *const u8) {}
