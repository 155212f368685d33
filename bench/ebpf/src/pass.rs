//! The two floors: a program that does nothing, and one that reads each word of the message once.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::headers::PAYLOAD;

/// Octets that are read between two looks at the frame's end: with a look for each word it would be the looks that count.
const BLOCK: usize = 64;
/// More blocks than a frame of an MTU of 1500 has.
const MAX_BLOCKS: usize = 24;
/// A sum that no message of the benchmarks has.
const NO_SUM: u64 = 0x5eed_5eed_5eed_5eed;

/// Nothing. With `frags`, as the product's, since a program array holds only one kind.
#[xdp(frags)]
pub fn bare_pass(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// Each word of eight octets behind the UDP header, once, straight from the frame.
#[xdp]
pub fn read_once(ctx: XdpContext) -> u32 {
    let (mut at, end) = (ctx.data() + PAYLOAD, ctx.data_end());
    let mut sum: u64 = 0;
    for _ in 0..MAX_BLOCKS {
        if at + BLOCK > end {
            break;
        }
        for word in 0..BLOCK / 8 {
            // SAFETY: the block ends within the frame.
            sum = sum.wrapping_add(unsafe { ((at + word * 8) as *const u64).read_unaligned() });
        }
        at += BLOCK;
    }
    for _ in 0..BLOCK / 8 {
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
