//! The verdict on a request: by its method and the policy, by whether its transaction was seen before, by its headers,
//! and by the operator's lists.
#![forbid(unsafe_code)]

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::programs::XdpContext;
use filter_common::maps::{InterfaceState, Policy};
use filter_common::sip::{Decision, Method, SHORTEST_REQUEST};
use filter_common::transaction::is_refused;
use filter_common::verdict::Verdict;

use crate::flows::KnownFlow;
use crate::packet::{Endpoints, Packet};
use crate::scratch::Scratch;
use crate::transactions::{PASSED, REFUSED, Transaction};
use crate::{exemptions, maps, scan};

/// Returns the verdict on a packet to the proxy's port. Redirects the packet if that is the verdict.
#[inline(always)]
pub(crate) fn judge(ctx: &XdpContext, mut packet: Packet) -> Verdict {
    packet.skip_leading_line_ends(ctx);
    if packet.length() < SHORTEST_REQUEST {
        return Verdict::NotInvite;
    }
    let Some(first) = packet.first_words(ctx) else {
        return Verdict::Malformed;
    };
    let Some((method, request_uri)) = Method::from_first_words(first) else {
        return Verdict::NotInvite;
    };
    let Some(policy) = maps::policy() else {
        return Verdict::Off;
    };
    if !is_relevant(method, policy) {
        return Verdict::NotInvite;
    }
    let Some(scratch) = Scratch::new(packet) else {
        return Verdict::Undecided;
    };
    match Endpoints::from_packet(ctx, scratch.packet()) {
        Ok(endpoints) => scratch.set_endpoints(endpoints),
        Err(passed) => return passed,
    }
    let known = match check(ctx, scratch) {
        Ok(known) => known,
        Err(passed) => return passed,
    };
    let now = maps::now();
    scratch.set_method(method);
    if scratch.load(ctx).is_none() {
        return Verdict::Undecided;
    }
    // From here on the method is read back from the scratch element, so that the verifier follows one path for all
    // methods.
    if scratch.is_method(Method::Invite) && !refuses(policy, Method::Invite) {
        return invite_while_off(ctx, policy, now, scratch);
    }
    // The scan is most of the program and is verified once per call site, so there is only one.
    let decision = scan::decide(scratch, request_uri);
    if scratch.is_method(Method::Ack) {
        return ack(policy, decision, scratch);
    }
    if decision == Decision::New && scratch.is_generic() && scan::may_hold_several(scratch) {
        return Verdict::Merged;
    }
    if scratch.is_method(Method::Invite) {
        invite(ctx, policy, now, decision, scratch, known)
    } else {
        exempted(policy, decision, scratch, known).unwrap_or_else(|| redirect(ctx, now, Verdict::RedirectedMethod))
    }
}

/// Checks that the request is this host's, and that it fits into the responder's socket. Returns what is known about
/// its flow.
#[inline(always)]
fn check(ctx: &XdpContext, scratch: &mut Scratch) -> Result<&'static mut KnownFlow, Verdict> {
    let known = KnownFlow::new(scratch.endpoints()).ok_or(Verdict::Undecided)?;
    if let Some(passed) = known.passed() {
        return Err(passed);
    }
    let interface = known.interface();
    if scratch.endpoints().packet_len() > interface.mtu {
        return Err(Verdict::Merged);
    }
    scratch.set_generic(interface.has(InterfaceState::GENERIC));
    scratch.packet().check_size(ctx)?;
    Ok(known)
}

/// Returns whether the policy refuses requests of a method now.
#[inline(always)]
fn refuses(policy: &Policy, method: Method) -> bool {
    policy.maintenance != 0 && policy.methods & method.bit() != 0
}

/// Returns whether a request of a method needs more than to pass. INVITEs are remembered even while nothing is refused.
#[inline(always)]
fn is_relevant(method: Method, policy: &Policy) -> bool {
    match method {
        Method::Invite => true,
        // The end is mostly zero. Then the clock is not read, which would be a seventh of the cost of an ACK.
        Method::Ack => policy.maintenance != 0 || policy.tail_until_ns != 0 && maps::now() < policy.tail_until_ns,
        _ => refuses(policy, method),
    }
}

/// Returns the verdict on an ACK. It is absorbed if its To tag is one of ours, since the proxy never saw its INVITE.
#[inline(always)]
fn ack(policy: &Policy, decision: Decision, scratch: &Scratch) -> Verdict {
    if decision == Decision::InDialog && scratch.tag() == policy.tag_prefix {
        Verdict::AckAbsorbed
    } else {
        Verdict::NotInvite
    }
}

/// Returns the verdict on an INVITE while INVITEs pass, whatever its headers: one that was refused is refused again.
#[inline(always)]
fn invite_while_off(ctx: &XdpContext, policy: &Policy, now: u64, scratch: &Scratch) -> Verdict {
    let transaction = Transaction::new(scratch);
    if now < policy.tail_until_ns && REFUSED.contains(&transaction, now) {
        return redirect(ctx, now, Verdict::RedirectedAgain);
    }
    PASSED.insert(&transaction, now);
    Verdict::Off
}

/// Returns the verdict on an INVITE while INVITEs are refused.
#[inline(always)]
fn invite(
    ctx: &XdpContext,
    policy: &Policy,
    now: u64,
    decision: Decision,
    scratch: &Scratch,
    known: &mut KnownFlow,
) -> Verdict {
    // These depend only on the message, so a retransmission is decided the same way without being remembered. The
    // others depend on time or on tables.
    match decision {
        Decision::InDialog => return Verdict::InDialog,
        Decision::Undecided => return Verdict::Undecided,
        Decision::Replaces => return Verdict::Replaces,
        Decision::New | Decision::Emergency => {}
    }
    let transaction = Transaction::new(scratch);
    if PASSED.contains(&transaction, now) {
        return Verdict::Seen;
    }
    let verdict = match exempted(policy, decision, scratch, known) {
        None if is_refused(transaction.hash(), policy.percent) => redirect(ctx, now, Verdict::Redirected),
        // A call that was refused stays refused after the share or the lists have changed.
        _ if REFUSED.contains(&transaction, now) => redirect(ctx, now, Verdict::RedirectedAgain),
        None => Verdict::Spared,
        Some(passed) => passed,
    };
    // A call for each map: the kernel inlines a lookup only where the map is a constant.
    if verdict.is_redirect() {
        REFUSED.insert(&transaction, now);
    } else {
        PASSED.insert(&transaction, now);
    }
    verdict
}

/// Returns the verdict on a request that passes although its method is refused, or `None` if nothing exempts it.
#[inline(always)]
fn exempted(policy: &Policy, decision: Decision, scratch: &Scratch, known: &mut KnownFlow) -> Option<Verdict> {
    match decision {
        Decision::New => match known.exempted(scratch.endpoints().flow(), policy) {
            None if exemptions::is_emergency(scratch.scan.user(), policy) => Some(Verdict::Emergency),
            passed => passed,
        },
        Decision::InDialog => Some(Verdict::InDialog),
        Decision::Emergency => Some(Verdict::Emergency),
        Decision::Replaces => Some(Verdict::Replaces),
        Decision::Undecided => Some(Verdict::Undecided),
    }
}

/// Redirects the frame to the responder of its queue. Returns `verdict`, or the reason why the frame passes instead.
///
/// The frame passes if the slot is empty because the responder has just closed its socket.
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
