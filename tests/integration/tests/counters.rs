//! Counters add up: each packet is counted once, under the reason for its verdict.
#![cfg(test)]

use std::collections::BTreeSet;
use std::net::SocketAddr;

use filter_common::verdict::Verdict;
use filter_lab::caller::Caller;
use filter_lab::lab::Lab;
use filter_lab::wire::{End, Family, WireOptions};

#[test]
fn every_packet_is_counted_once_and_under_its_reason() {
    let lab = Lab::with_wire(WireOptions { quiet: true, ..WireOptions::default() });
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);

    // Off: an INVITE and its ACK.
    let mut call = lab.expect_call_accepted(&caller);
    lab.filter.run(&["on"]);
    for _ in 0..5 {
        lab.expect_call_refused(&caller);
    }
    caller.reinvite(&mut call);
    caller.bye(&mut call);
    for _ in 0..2 {
        caller.expect(&caller.request("OPTIONS"), 200);
    }
    let mut undecided = caller.invite();
    undecided.push("To", "<sip:other@198.18.0.2>;tag=x");
    caller.expect(&undecided, 200);
    let mut fragmented = caller.invite();
    fragmented.pad_beyond(2000);
    caller.expect(&fragmented, 200);
    let elsewhere = SocketAddr::new(End::Proxy.address(Family::V4), 5098);
    Caller::new(&lab.outside, SocketAddr::new(End::Caller.address(Family::V4), 0), elsewhere)
        .send(&caller.invite().to_bytes());

    let stats = lab.wait_for_stats(16);
    let expected = [
        (Verdict::Fragment, 2),
        (Verdict::InDialog, 1),
        // Two ACKs, one BYE, two OPTIONS.
        (Verdict::NotInvite, 5),
        (Verdict::Off, 1),
        (Verdict::OtherPort, 1),
        (Verdict::Redirected, 5),
        (Verdict::Undecided, 1),
    ];
    let expected = expected.map(|(verdict, count)| (verdict.name(), count));
    assert_eq!(stats.nonzero_verdicts().into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(stats.seen(), 16);
    assert_eq!(stats.answered(), 5);
}

#[test]
fn redirected_requests_are_answered_unanswered_or_lost() {
    let lab = Lab::with_wire(WireOptions { quiet: true, ..WireOptions::default() });
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);

    let sent = lab.send_bursts(&caller);
    // New calls without a header that the response needs.
    for name in ["CSeq", "Via", "From", "Call-ID"] {
        let mut invite = caller.invite();
        invite.headers.retain(|(header, _)| header != name);
        caller.send(&invite.to_bytes());
    }
    // The filter does not see what the wire itself drops (the ring of a veth queue holds 256). One INVITE came first.
    let arrived = sent + 4 + 1 - lab.interface_counter(End::Caller, "tx", "dropped");
    let stats = lab.wait_for_stats(arrived);
    assert_eq!(stats.seen(), arrived, "{stats:?}");
    assert_eq!(stats.handled(), stats.verdict(Verdict::Redirected), "{stats:?}");
}

#[test]
fn stats_name_every_verdict() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let stats = lab.filter.stats();
    let expected: BTreeSet<_> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
    assert_eq!(stats.verdict_names().collect::<BTreeSet<_>>(), expected);
}
