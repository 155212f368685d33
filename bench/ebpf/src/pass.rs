//! The two floors: a program that does nothing, and one that reads each word of the message once.
#![expect(unsafe_code, reason = "reads of packet memory after a check of its bounds")]

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::headers::PAYLOAD;

/// Maximum number of words read: more than a frame has with an MTU of 1500.
const MAX_WORDS: usize = 192;
/// A sum that no message of the benchmarks has.
const NO_SUM: u64 = 0x5eed_5eed_5eed_5eed;

/// Passes the frame. Has `frags` like the product's program, because a program array holds programs of one kind only.
#[xdp(frags)]
fn bare_pass(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// Reads each eight-byte word behind the UDP header once, directly from the frame, and passes the frame.
///
/// Each read has its own check against the end of the frame, as the verifier requires. One check for eight words would
/// halve the time, but the target is defined by this program.
#[xdp]
fn read_once(ctx: XdpContext) -> u32 {
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
    // Use the sum, so that LLVM keeps the reads.
    if sum == NO_SUM { XDP_ABORTED } else { XDP_PASS }
}
