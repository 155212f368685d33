//! The ACK to a 503 of ours never reaches the server, which knows nothing of the call. Any other ACK does.
#![cfg(test)]

use std::time::Duration;

use filter_common::maps::{Policy, TRANSACTION_NS};
use filter_common::verdict::Verdict;
use filter_integration::{CLOCK_TICK, DaemonMaps, monotonic};
use filter_lab::caller::Caller;
use filter_lab::installation::Installation;
use filter_lab::lab::Lab;
use filter_lab::request::Request;
use filter_lab::wire::Family;
use rstest::rstest;

/// Sends `ack`. Asserts that it is counted as absorbed and does not reach the server.
#[track_caller]
fn assert_absorbed(lab: &Lab, caller: &Caller, ack: &Request) {
    let before = lab.filter.stats().verdict(Verdict::AckAbsorbed);
    caller.send(&ack.to_bytes());
    // Whatever was sent before is in the server's record after this.
    caller.drain();
    let reached = lab.server.count("ACK", ack.header("Call-ID"));
    assert_eq!(reached, 0, "the server saw the ACK of a call that it does not know");
    assert_eq!(lab.filter.stats().verdict(Verdict::AckAbsorbed), before + 1);
}

#[rstest]
#[case::ipv4_native(Family::V4, "native")]
#[case::ipv6_native(Family::V6, "native")]
#[case::ipv4_generic(Family::V4, "generic")]
fn ack_to_our_503_is_absorbed_during_maintenance_and_after_it(#[case] family: Family, #[case] mode: &str) {
    let lab = Lab::new();
    let _daemon = lab.start(mode);
    let caller = lab.caller(family);
    lab.filter.run(&["on"]);
    let (invite, response) = lab.expect_call_refused(&caller);

    let ack = caller.ack_to_refusal(&invite, &response);
    assert_absorbed(&lab, &caller, &ack);
    // A client sends its ACK again for each retransmission of the response.
    assert_absorbed(&lab, &caller, &ack);
    lab.filter.run(&["off"]);
    assert_absorbed(&lab, &caller, &ack);
}

#[test]
fn ack_to_our_503_with_a_route_header_is_absorbed() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);

    // With an outbound proxy the INVITE has Route headers, which its ACK repeats (RFC 3261 section 17.1.1.3).
    let routes = [format!("<sip:{};lr>", lab.proxy(Family::V4)), "<sip:second.example.com;lr;tag=none>".to_owned()];
    let mut invite = caller.invite();
    for route in &routes {
        invite.headers.insert(1, ("Route".to_owned(), route.clone()));
    }
    let response = caller.expect(&invite, 503);
    let mut ack = caller.ack_to_refusal(&invite, &response);
    for route in &routes {
        ack.headers.insert(1, ("Route".to_owned(), route.clone()));
    }
    assert_absorbed(&lab, &caller, &ack);
}

/// The end of the 32 s is moved into the past instead of awaited. That the daemon removes an end that has passed is
/// covered by a unit test of its data plane.
#[test]
fn ack_to_our_503_reaches_the_server_when_the_32_s_after_off_are_over() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    let (invite, response) = lab.expect_call_refused(&caller);
    let ack = caller.ack_to_refusal(&invite, &response);
    let mut maps = DaemonMaps::open(&lab);

    let before = monotonic();
    lab.filter.run(&["off"]);
    let policy = maps.policy();
    let tail = Duration::from_nanos(TRANSACTION_NS);
    assert_eq!(tail, Duration::from_secs(32));
    let end = Duration::from_nanos(policy.tail_until_ns);
    assert!((before + tail..=monotonic() + CLOCK_TICK + tail).contains(&end), "{end:?} is not 32 s after {before:?}");
    assert_absorbed(&lab, &caller, &ack);

    maps.set_policy(Policy { tail_until_ns: monotonic().as_nanos() as u64, ..policy });
    caller.send(&ack.to_bytes());
    caller.drain();
    assert_eq!(lab.server.count("ACK", ack.header("Call-ID")), 1);
}

#[test]
fn ack_of_an_established_call_reaches_the_server_during_maintenance() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    let mut call = lab.expect_call_accepted(&caller);
    lab.server.wait_for("ACK", &call.call_id);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);

    caller.reinvite(&mut call);
    caller.drain();
    assert_eq!(lab.server.count("ACK", &call.call_id), 2);
    assert_eq!(lab.filter.stats().verdict(Verdict::AckAbsorbed), 0);
}

#[test]
fn ack_to_a_503_of_another_host_is_absorbed_in_the_same_cluster_only() {
    let here = Lab::new();
    let _daemon = here.start("native");
    let mut there = Lab::new();
    there.filter = Installation::sharing(&there.inside, &here.filter);
    let _other = there.start("native");
    here.filter.run(&["on"]);
    there.filter.run(&["reload"]);

    let caller = here.caller(Family::V4);
    let (invite, response) = here.expect_call_refused(&caller);
    let ack = caller.ack_to_refusal(&invite, &response);
    // As after a failover, by a virtual address or another choice of the upstream.
    let moved = there.caller(Family::V4);
    assert_absorbed(&there, &moved, &ack);
    // A host that does not share the database passes the ACK.
    let stranger = Lab::new();
    let _third = stranger.start("native");
    stranger.filter.run(&["on"]);
    stranger.caller(Family::V4).send(&ack.to_bytes());
    stranger.server.wait_for("ACK", ack.header("Call-ID"));
}
