//! Asks the CPU for the octets of a frame before they are needed: another CPU has written them, and brings them over meanwhile.

/// What a CPU brings over at a time, on all that AF_XDP is used on.
const CACHE_LINE: usize = 64;
/// How many octets from the first on are asked for: as many as most requests have.
const OCTETS: usize = 1024;

/// Asks for the first octets of `frame`.
#[inline(always)]
pub(super) fn prefetch(frame: &[u8]) {
    frame.chunks(CACHE_LINE).take(OCTETS / CACHE_LINE).for_each(|line| ask(line.as_ptr()));
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ask(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction is part of SSE, which x86-64 always has; it is a hint, and reads nothing that a program notices,
    // whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn ask(line: *const u8) {
    // SAFETY: PRFM is a hint (Arm ARM, C6.2), and reads nothing that a program notices, whatever the address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{line}]", line = in(reg) line, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn ask(_line: *const u8) {}
