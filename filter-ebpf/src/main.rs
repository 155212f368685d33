//! The XDP program of sip-filter: finds the INVITEs that would set up a new call and hands them to the responder.
//!
//! It reads top to bottom as a packet does: headers ([`packet`]), method, policy, lease, To tag ([`scan`]), redirect.
//! Whatever it is not sure of, it passes; it drops nothing.
#![allow(missing_docs, reason = "the `xdp` macro writes a function without")]
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod maps;
mod packet;
mod scan;

use aya_ebpf::bindings::xdp_action::{XDP_PASS, XDP_REDIRECT};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use filter_common::maps::QueueKey;
use filter_common::sip::{self, Decision};
use filter_common::verdict::Verdict;

/// Entry point. `frags`: the program copes with frames in several buffers (it passes them), so that it can be
/// attached to an interface with a jumbo MTU.
#[xdp(frags)]
pub fn sip_filter(ctx: XdpContext) -> u32 {
    let verdict = match judge(&ctx) {
        Ok(socket) => redirect(socket),
        Err(passed) => passed,
    };
    maps::count(verdict);
    if verdict == Verdict::Undecided {
        // Dead code to the verifier unless the daemon has set the level to debug before it loads the program.
        debug!(&ctx, "passed an INVITE on queue {}: not proven to be new", rx_queue(&ctx).queue);
    }
    if verdict == Verdict::Redirected { XDP_REDIRECT } else { XDP_PASS }
}

/// The socket for a frame that is to be redirected, or the reason for which it passes.
#[inline(always)]
fn judge(ctx: &XdpContext) -> Result<u32, Verdict> {
    let message = packet::sip_message(ctx)?;
    let message = packet::skip_line_ends(ctx, message)?;
    if !is_invite(ctx, &message) {
        return Err(Verdict::NotInvite);
    }
    if !maps::policy().is_some_and(|policy| policy.maintenance != 0) {
        return Err(Verdict::Off);
    }
    let socket = maps::leased_socket(&rx_queue(ctx)).ok_or(Verdict::NoLease)?;
    match scan::decide(ctx, &message)? {
        Decision::New => Ok(socket),
        Decision::InDialog => Err(Verdict::InDialog),
        Decision::Undecided => Err(Verdict::Undecided),
    }
}

/// Whether the message begins with the method INVITE. What follows it in the frame is padding, whatever it looks like.
#[inline(always)]
fn is_invite(ctx: &XdpContext, message: &packet::Place) -> bool {
    const LENGTH: usize = sip::INVITE.len();
    message.length as usize >= LENGTH && packet::octets::<LENGTH>(ctx, message.offset) == Some(sip::INVITE)
}

/// Hands the frame to the responder. An empty slot, because the responder has just closed its socket, is a pass.
#[inline(always)]
fn redirect(socket: u32) -> Verdict {
    match maps::SOCKETS.redirect(socket, u64::from(XDP_PASS)) {
        Ok(_) => Verdict::Redirected,
        Err(_) => Verdict::NoSocket,
    }
}

/// The RX queue on which the frame came.
#[inline(always)]
fn rx_queue(ctx: &XdpContext) -> QueueKey {
    // SAFETY: the kernel passes a valid `struct xdp_md` to the program; both fields may be read by any XDP program.
    // Volatile, since LLVM would fuse them into one load of eight octets, which the verifier refuses.
    unsafe {
        QueueKey {
            ifindex: (&raw const (*ctx.ctx).ingress_ifindex).read_volatile(),
            queue: (&raw const (*ctx.ctx).rx_queue_index).read_volatile(),
        }
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
