//! The two floors: a program that does nothing, and one that reads each word of the message once.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::headers::PAYLOAD;

/// More words than a frame of an MTU of 1500 has.
const MAX_WORDS: usize = 192;
/// A sum that no message of the benchmarks has.
const NO_SUM: u64 = 0x5eed_5eed_5eed_5eed;

/// Nothing. With `frags`, as the product's, since a program array holds only one kind.
#[xdp(frags)]
pub fn bare_pass(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// Each word of eight octets behind the UDP header, once, straight from the frame, with the check of the frame's end that the
/// verifier wants before each. (With one check for eight words it takes half of the time; the target is meant for this.)
#[xdp]
pub fn read_once(ctx: XdpContext) -> u32 {
    let (mut at, end) = (ctx.data() + PAYLOAD, ctx.data_end());
    let mut sum: u64 = 0;
    for _ in 0..MAX_WORDS {
        if at + 8 > end {
            break;
        }
        // SAFETY: the word ends within the frame.
        sum = sum.wrapping_add(unsafe { (at as *const u64).read_unaligned() });
        at += 8;
    }
    // The sum has to matter, or else LLVM leaves it out.
    if sum == NO_SUM { XDP_ABORTED } else { XDP_PASS }
}
