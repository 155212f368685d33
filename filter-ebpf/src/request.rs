//! What becomes of a request: its method and the policy, its past, its headers, what exempts it.

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::programs::XdpContext;
use filter_common::maps::Policy;
use filter_common::sip::{Decision, Method, SHORTEST_REQUEST};
use filter_common::transaction::is_refused;
use filter_common::verdict::Verdict;

use crate::packet::{self, Packet};
use crate::scan::Loaded;
use crate::transactions::{self, Transaction};
use crate::{exemptions, maps};

/// The verdict on a packet to the proxy's port.
#[inline(always)]
pub fn judge(ctx: &XdpContext, packet: &Packet) -> Verdict {
    let packet = packet::skip_line_ends(ctx, *packet);
    if packet.length < SHORTEST_REQUEST {
        return Verdict::NotInvite;
    }
    let Some((method, name)) = packet::octets(ctx, packet.offset).and_then(Method::of) else {
        return Verdict::NotInvite;
    };
    let Some(policy) = maps::policy() else {
        return Verdict::Off;
    };
    let now = maps::now();
    if !is_looked_at(method, policy, now) {
        return Verdict::NotInvite;
    }
    let Some(mut message) = Loaded::load(ctx, &packet) else {
        return Verdict::Undecided;
    };
    if method != Method::Invite {
        let decision = message.decide(name);
        return match method {
            Method::Ack => ack(policy, decision, &message),
            _ => other(ctx, &packet, policy, now, decision, &message),
        };
    }
    invite(ctx, &packet, policy, now, name, &mut message)
}

/// Whether there is any more to be found out about a request. INVITEs are remembered also while nothing is refused.
#[inline(always)]
fn is_looked_at(method: Method, policy: &Policy, now: u64) -> bool {
    match method {
        Method::Invite => true,
        Method::Ack => policy.maintenance != 0 || now < policy.tail_until_ns,
        _ => policy.maintenance != 0 && policy.methods & method.bit() != 0,
    }
}

/// An ACK: dropped if its To tag is one of ours, for then the proxy has never seen its INVITE.
#[inline(always)]
fn ack(policy: &Policy, decision: Decision, message: &Loaded) -> Verdict {
    if decision == Decision::InDialog && message.tag() == policy.tag_prefix {
        Verdict::AckAbsorbed
    } else {
        Verdict::NotInvite
    }
}

/// A request of another method that the policy refuses.
#[inline(always)]
fn other(
    ctx: &XdpContext,
    packet: &Packet,
    policy: &Policy,
    now: u64,
    decision: Decision,
    message: &Loaded,
) -> Verdict {
    match exempted(packet, policy, decision, message) {
        Some(passed) => passed,
        None => redirect(ctx, now, Verdict::RedirectedMethod),
    }
}

/// An INVITE: the same as the last time if it is sent again, otherwise as the policy says.
#[inline(always)]
fn invite(ctx: &XdpContext, packet: &Packet, policy: &Policy, now: u64, name: u32, message: &mut Loaded) -> Verdict {
    let transaction = Transaction::of(packet, message);
    let refusing = policy.maintenance != 0 && policy.methods & Method::Invite.bit() != 0;
    // What was refused stays refused: after the end of maintenance, and when the share has been made smaller.
    let may_be_refused_again = if refusing { policy.percent < 100 } else { now < policy.tail_until_ns };
    if may_be_refused_again && transactions::REFUSED.holds(&transaction, now) {
        return redirect(ctx, now, Verdict::RedirectedAgain);
    }
    if refusing && transactions::PASSED.holds(&transaction, now) {
        return Verdict::Seen;
    }
    let verdict = if refusing {
        let decision = message.decide(name);
        match exempted(packet, policy, decision, message) {
            Some(passed) => passed,
            None if !is_refused(transaction.hash(), policy.percent) => Verdict::Spared,
            None => redirect(ctx, now, Verdict::Redirected),
        }
    } else {
        Verdict::Off
    };
    match verdict {
        Verdict::Redirected => transactions::REFUSED.remember(&transaction, now),
        // These say always the same of the same octets. The others hang on the time or on tables that may change.
        Verdict::InDialog | Verdict::Undecided | Verdict::Replaces => {}
        _ => transactions::PASSED.remember(&transaction, now),
    }
    verdict
}

/// Why a request passes although its method is refused; `None` if nothing exempts it.
#[inline(always)]
fn exempted(packet: &Packet, policy: &Policy, decision: Decision, message: &Loaded) -> Option<Verdict> {
    match decision {
        Decision::New if exemptions::is_bypassed(packet, policy) => Some(Verdict::Bypass),
        Decision::New if exemptions::is_emergency(message.user()) => Some(Verdict::Emergency),
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
