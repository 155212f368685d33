//! The XDP program of sip-filter, which finds requests that would set up a new call and redirects them to the
//! responder.
//!
//! Its modules follow the order in which a packet is read: headers ([`packet`]), method and policy ([`request`]),
//! whether the request is this host's ([`ownership`]), and where needed, whether the transaction was seen before
//! ([`transactions`]), the To tag ([`scan`]) and the operator's lists ([`exemptions`]). [`scratch`] holds the results
//! on the way, and [`flows`] what the tables said about the last flows.
//!
//! When in doubt, the program passes a packet. The only packet that it drops is the ACK to one of our responses.
#![expect(non_ascii_idents, reason = "zerocopy's derive macros generate them")]
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod exemptions;
mod flows;
mod maps;
mod ownership;
mod packet;
mod request;
mod scan;
mod scratch;
mod transactions;
mod trie_key;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_REDIRECT};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use filter_common::verdict::Verdict;

use crate::packet::Packet;

/// The entry point.
///
/// `frags` declares that the program accepts frames in several buffers, which it passes. So it can be attached to an
/// interface with a jumbo MTU.
#[xdp(frags)]
fn sip_filter(ctx: XdpContext) -> u32 {
    let verdict = match Packet::from_frame(&ctx) {
        Ok(packet) => request::judge(&ctx, packet),
        Err(passed) => passed,
    };
    maps::count(verdict);
    if verdict == Verdict::Undecided {
        // Dead code to the verifier, unless the daemon has set the level to debug before it loads the program.
        debug!(&ctx, "passed a request on queue {}: not proven to be new", maps::rx_queue(&ctx).queue);
    }
    if verdict.is_redirect() {
        XDP_REDIRECT
    } else if verdict == Verdict::AckAbsorbed {
        XDP_DROP
    } else {
        XDP_PASS
    }
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // An endless loop, so that the verifier rejects a program that can panic.
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// The license. The kernel offers some helpers only to GPL-compatible programs; the daemon itself is MIT OR Apache-2.0.
#[expect(unsafe_code, reason = "the kernel finds the license by its section")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
