//! What becomes of a request: its method and the policy, its past, its headers, what exempts it.

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::programs::XdpContext;
use filter_common::maps::Policy;
use filter_common::sip::{Decision, Method, SHORTEST_REQUEST};
use filter_common::transaction::is_refused;
use filter_common::verdict::Verdict;

use crate::packet::{self, Packet};
use crate::scratch::Scratch;
use crate::transactions::{self, Transaction};
use crate::{exemptions, maps, scan};

/// The verdict on a packet to the proxy's port.
#[inline(always)]
pub fn judge(ctx: &XdpContext, mut packet: Packet) -> Verdict {
    packet.skip(packet::leading_line_ends(ctx, &packet));
    if packet.length < SHORTEST_REQUEST {
        return Verdict::NotInvite;
    }
    let Some(first) = packet::words(ctx, packet.offset) else {
        return Verdict::Malformed;
    };
    let Some((method, name)) = Method::from_first_words(first) else {
        return Verdict::NotInvite;
    };
    let Some(policy) = maps::policy() else {
        return Verdict::Off;
    };
    if !is_looked_at(method, policy) {
        return Verdict::NotInvite;
    }
    let Some(scratch) = Scratch::of(packet) else {
        return Verdict::Undecided;
    };
    match packet::source(ctx, scratch.packet()) {
        Ok(source) => scratch.set_source(source),
        Err(passed) => return passed,
    }
    let now = maps::now();
    scratch.set_method(method);
    if scratch.load(ctx).is_none() {
        return Verdict::Undecided;
    }
    if scratch.is_method(Method::Invite) && !refuses(policy, Method::Invite) {
        return invite_while_off(ctx, policy, now, scratch);
    }
    // The scan is the most of the program, and the verifier goes through it for each place that it is called at.
    let decision = scan::decide(scratch, name);
    if scratch.is_method(Method::Ack) {
        ack(policy, decision, scratch)
    } else if scratch.is_method(Method::Invite) {
        invite(ctx, policy, now, decision, scratch)
    } else {
        exempted(policy, decision, scratch).unwrap_or_else(|| redirect(ctx, now, Verdict::RedirectedMethod))
    }
}

/// Whether requests of a method are refused now.
#[inline(always)]
fn refuses(policy: &Policy, method: Method) -> bool {
    policy.maintenance != 0 && policy.methods & method.bit() != 0
}

/// Whether there is any more to be found out about a request. INVITEs are remembered also while nothing is refused.
#[inline(always)]
fn is_looked_at(method: Method, policy: &Policy) -> bool {
    match method {
        Method::Invite => true,
        // Where it is zero, which it mostly is, the clock need not be read: a seventh of what an ACK costs.
        Method::Ack => policy.maintenance != 0 || policy.tail_until_ns != 0 && maps::now() < policy.tail_until_ns,
        _ => refuses(policy, method),
    }
}

/// An ACK: dropped if its To tag is one of ours, for then the proxy has never seen its INVITE.
#[inline(always)]
fn ack(policy: &Policy, decision: Decision, scratch: &Scratch) -> Verdict {
    if decision == Decision::InDialog && scratch.tag() == policy.tag_prefix {
        Verdict::AckAbsorbed
    } else {
        Verdict::NotInvite
    }
}

/// An INVITE while they pass: its headers do not matter. One that was refused before is refused again.
#[inline(always)]
fn invite_while_off(ctx: &XdpContext, policy: &Policy, now: u64, scratch: &Scratch) -> Verdict {
    let transaction = Transaction::of(scratch);
    if now < policy.tail_until_ns && transactions::REFUSED.holds(&transaction, now) {
        return redirect(ctx, now, Verdict::RedirectedAgain);
    }
    transactions::PASSED.remember(&transaction, now);
    Verdict::Off
}

/// An INVITE while they are refused.
#[inline(always)]
fn invite(ctx: &XdpContext, policy: &Policy, now: u64, decision: Decision, scratch: &Scratch) -> Verdict {
    // These say always the same of the same octets, so that nothing has to be remembered. What is said of the others hangs on
    // the time, or on tables that may change.
    match decision {
        Decision::InDialog => return Verdict::InDialog,
        Decision::Undecided => return Verdict::Undecided,
        Decision::Replaces => return Verdict::Replaces,
        Decision::New | Decision::Emergency => {}
    }
    let transaction = Transaction::of(scratch);
    // What was refused stays refused when the share has been made smaller.
    if policy.percent < 100 && transactions::REFUSED.holds(&transaction, now) {
        return redirect(ctx, now, Verdict::RedirectedAgain);
    }
    if transactions::PASSED.holds(&transaction, now) {
        return Verdict::Seen;
    }
    let verdict = match exempted(policy, decision, scratch) {
        Some(passed) => passed,
        None if !is_refused(transaction.hash, policy.percent) => Verdict::Spared,
        None => redirect(ctx, now, Verdict::Redirected),
    };
    // Each with its own call: the kernel puts the lookup itself in place of a call only where there is one map to look into.
    if verdict == Verdict::Redirected {
        transactions::REFUSED.remember(&transaction, now);
    } else {
        transactions::PASSED.remember(&transaction, now);
    }
    verdict
}

/// Why a request passes although its method is refused; `None` if nothing exempts it.
#[inline(always)]
fn exempted(policy: &Policy, decision: Decision, scratch: &Scratch) -> Option<Verdict> {
    match decision {
        Decision::New if exemptions::is_bypassed(scratch.source(), policy) => Some(Verdict::Bypass),
        Decision::New if exemptions::is_emergency(scratch.scan.user(), policy) => Some(Verdict::Emergency),
        Decision::New => None,
        Decision::InDialog => Some(Verdict::InDialog),
        Decision::Emergency => Some(Verdict::Emergency),
        Decision::Replaces => Some(Verdict::Replaces),
        Decision::Undecided => Some(Verdict::Undecided),
    }
}

/// Hands the frame to the responder of its queue: `verdict`, or the reason for which it passes after all.
///
/// An empty slot, because the responder has just closed its socket, is a pass.
#[inline(always)]
fn redirect(ctx: &XdpContext, now: u64, verdict: Verdict) -> Verdict {
    let Some(socket) = maps::leased_socket(&maps::rx_queue(ctx), now) else {
        return Verdict::NoLease;
    };
    match maps::SOCKETS.redirect(socket, u64::from(XDP_PASS)) {
        Ok(_) => verdict,
        Err(_) => Verdict::NoSocket,
    }
}
