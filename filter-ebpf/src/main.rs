//! The XDP program of sip-filter: finds the requests that would set up a new call and hands them to the responder.
//!
//! It reads top to bottom as a packet does: headers ([`packet`]), method and policy ([`request`]), and where it comes to
//! that, the transaction's past ([`transactions`]), the To tag ([`scan`]) and what exempts a call ([`exemptions`]). What is
//! found out on the way is kept in [`scratch`].
//! Whatever it is not sure of, it passes; the one thing that it drops is the ACK to our own response.
#![allow(missing_docs, reason = "the `xdp` macro writes a function without")]
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod exemptions;
mod maps;
mod packet;
mod request;
mod scan;
mod scratch;
mod transactions;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_REDIRECT};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use filter_common::verdict::Verdict;

/// Entry point. `frags`: the program copes with frames in several buffers (it passes them), so that it can be
/// attached to an interface with a jumbo MTU.
#[xdp(frags)]
pub fn sip_filter(ctx: XdpContext) -> u32 {
    let verdict = judge(&ctx);
    maps::count(verdict);
    if verdict == Verdict::Undecided {
        // Dead code to the verifier unless the daemon has set the level to debug before it loads the program.
        debug!(&ctx, "passed an INVITE on queue {}: not proven to be new", maps::rx_queue(&ctx).queue);
    }
    if verdict.is_redirect() {
        XDP_REDIRECT
    } else if verdict == Verdict::AckAbsorbed {
        XDP_DROP
    } else {
        XDP_PASS
    }
}

#[inline(always)]
fn judge(ctx: &XdpContext) -> Verdict {
    match packet::sip_packet(ctx) {
        Ok(packet) => request::judge(ctx, packet),
        Err(passed) => passed,
    }
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // A loop without an end: the verifier refuses the program if a panic can be reached at all.
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// The kernel lets only GPL-compatible programs call some helpers; the daemon itself is MIT OR Apache-2.0.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
