//! What becomes of a request: method, policy, and what they ask to be looked at.

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
    match method {
        Method::Invite => invite(ctx, &packet, policy),
        Method::Ack => ack(ctx, &packet, policy),
        _ => other(ctx, &packet, policy, method, name),
    }
}

/// An INVITE: the same as the last time if it is sent again, otherwise as the policy says.
#[inline(always)]
fn invite(ctx: &XdpContext, packet: &Packet, policy: &Policy) -> Verdict {
    let Some(mut message) = Loaded::load(ctx, packet) else {
        return Verdict::Undecided;
    };
    let now = maps::now();
    let transaction = Transaction::of(packet, &message);
    if policy.maintenance == 0 || policy.methods & Method::Invite.bit() == 0 {
        if now < policy.tail_until_ns && transactions::REFUSED.holds(&transaction, now) {
            return redirect(ctx, now, Verdict::RedirectedAgain);
        }
        transactions::PASSED.remember(&transaction, now);
        return Verdict::Off;
    }
    if transactions::PASSED.holds(&transaction, now) {
        return Verdict::Seen;
    }
    // A share may have been made smaller since: what was refused stays refused.
    let again = policy.percent < 100 && transactions::REFUSED.holds(&transaction, now);
    let verdict = if again { Verdict::Redirected } else { new_invite(packet, policy, &transaction, &mut message) };
    let verdict = if verdict.is_redirect() { redirect(ctx, now, verdict) } else { verdict };
    match verdict {
        Verdict::Redirected => transactions::REFUSED.remember(&transaction, now),
        // These say always the same of the same octets. The others hang on the time or on tables that may change.
        Verdict::InDialog | Verdict::Undecided | Verdict::Replaces => {}
        _ => transactions::PASSED.remember(&transaction, now),
    }
    verdict
}

/// An INVITE that has not been seen before, while maintenance is on.
#[inline(always)]
fn new_invite(packet: &Packet, policy: &Policy, transaction: &Transaction, message: &mut Loaded) -> Verdict {
    match message.decide(Method::Invite.name().len() as u32 + 1) {
        Decision::New if exemptions::is_bypassed(packet, policy) => Verdict::Bypass,
        Decision::New if exemptions::is_emergency(message.user()) => Verdict::Emergency,
        Decision::New if !is_refused(transaction.hash(), policy.percent) => Verdict::Spared,
        Decision::New => Verdict::Redirected,
        passed => passed_as(passed),
    }
}

/// An ACK: dropped if its To tag is one of ours, for then the proxy has never seen its INVITE.
#[inline(always)]
fn ack(ctx: &XdpContext, packet: &Packet, policy: &Policy) -> Verdict {
    if policy.maintenance == 0 && maps::now() >= policy.tail_until_ns {
        return Verdict::NotInvite;
    }
    let Some(mut message) = Loaded::load(ctx, packet) else {
        return Verdict::NotInvite;
    };
    let decision = message.decide(Method::Ack.name().len() as u32 + 1);
    if decision == Decision::InDialog && message.tag() == policy.tag_prefix {
        Verdict::AckAbsorbed
    } else {
        Verdict::NotInvite
    }
}

/// A request of another method that the policy may refuse.
#[inline(always)]
fn other(ctx: &XdpContext, packet: &Packet, policy: &Policy, method: Method, name: u32) -> Verdict {
    if policy.maintenance == 0 || policy.methods & method.bit() == 0 {
        return Verdict::NotInvite;
    }
    let Some(mut message) = Loaded::load(ctx, packet) else {
        return Verdict::Undecided;
    };
    match message.decide(name) {
        Decision::New if exemptions::is_bypassed(packet, policy) => Verdict::Bypass,
        Decision::New if exemptions::is_emergency(message.user()) => Verdict::Emergency,
        Decision::New => redirect(ctx, maps::now(), Verdict::RedirectedMethod),
        passed => passed_as(passed),
    }
}

/// The verdict for a decision that is not [`Decision::New`].
#[inline(always)]
fn passed_as(decision: Decision) -> Verdict {
    match decision {
        Decision::InDialog => Verdict::InDialog,
        Decision::Emergency => Verdict::Emergency,
        Decision::Replaces => Verdict::Replaces,
        Decision::New | Decision::Undecided => Verdict::Undecided,
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
    match maps::SOCKETS.redirect(socket, u64::from(aya_ebpf::bindings::xdp_action::XDP_PASS)) {
        Ok(_) => verdict,
        Err(_) => Verdict::NoSocket,
    }
}
