//! A request that is sent again gets the same response, although maintenance was switched or the daemon restarted in
//! between.
#![cfg(test)]

use filter_common::verdict::Verdict;
use filter_lab::caller::Caller;
use filter_lab::daemon::Daemon;
use filter_lab::lab::Lab;
use filter_lab::request::Request;
use filter_lab::wire::Family;
use nix::sys::signal::Signal;
use rstest::rstest;

/// Ends the daemon as an init system does, and starts another.
#[track_caller]
fn restart(lab: &Lab, mut daemon: Daemon) -> Daemon {
    daemon.end(Signal::SIGTERM);
    lab.start("native")
}

/// Sends an INVITE, asserts that the server accepts it, and returns it.
#[track_caller]
fn accepted_invite(lab: &Lab, caller: &Caller) -> Request {
    let invite = caller.invite();
    caller.expect(&invite, 200);
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);
    invite
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn invite_that_passed_before_on_still_reaches_the_server(#[case] family: Family) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(family);
    let invite = accepted_invite(&lab, &caller);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);

    caller.expect(&invite, 200);
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 2);
    assert_eq!(lab.filter.stats().verdict(Verdict::Seen), 1);
    // The same call in a new transaction is a new request.
    caller.expect(&caller.as_new_transaction(&invite), 503);
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 2);
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn invite_that_was_refused_before_off_gets_the_identical_503_again(#[case] family: Family) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(family);
    lab.filter.run(&["on", "--reason", "Back Soon"]);
    let (invite, response) = lab.expect_call_refused(&caller);
    lab.filter.run(&["off"]);
    lab.expect_call_accepted(&caller);

    let again = caller.expect(&invite, 503);
    assert_eq!(again.to_string(), response.to_string());
    assert!(!lab.server.has_seen(invite.header("Call-ID")));
    assert_eq!(lab.filter.stats().verdict(Verdict::RedirectedAgain), 1);
}

#[test]
fn accepted_and_refused_invite_keep_their_responses_over_several_switches() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    let accepted = accepted_invite(&lab, &caller);
    lab.filter.run(&["on"]);
    let (refused, response) = lab.expect_call_refused(&caller);
    for switch in ["off", "on", "off"] {
        lab.filter.run(&[switch]);
        assert_eq!(caller.ask(&accepted).status(), Some(200), "{switch}");
        let again = caller.ask(&refused);
        assert_eq!(again.to_string(), response.to_string(), "{switch}");
    }
}

/// The limit that the documentation names: the daemon's record of INVITEs ends with the daemon.
#[test]
fn invite_that_passed_before_a_restart_is_a_new_one_after_it() {
    let lab = Lab::new();
    let daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    let invite = accepted_invite(&lab, &caller);
    let daemon = restart(&lab, daemon);
    lab.filter.run(&["on"]);
    caller.expect(&invite, 503);
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);

    // And the reverse: after off and a restart, a refused INVITE passes.
    lab.filter.run(&["off"]);
    let _daemon = restart(&lab, daemon);
    caller.expect(&invite, 200);
}

#[test]
fn invite_that_was_refused_before_a_restart_gets_the_identical_503_after_it() {
    let lab = Lab::new();
    let daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    let (invite, response) = lab.expect_call_refused(&caller);
    let _daemon = restart(&lab, daemon);

    // The To tag depends on the request and on a key in the database only.
    assert_eq!(caller.expect(&invite, 503).to_string(), response.to_string());
}

#[rstest]
#[case::still_on(false)]
#[case::off_meanwhile(true)]
fn ack_to_a_503_from_before_a_restart_is_absorbed_after_it(#[case] off: bool) {
    let lab = Lab::new();
    let daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    let (invite, response) = lab.expect_call_refused(&caller);
    if off {
        lab.filter.run(&["off"]);
    }
    let _daemon = restart(&lab, daemon);

    caller.acknowledge_refusal(&invite, &response);
    // Whatever was sent before is in the server's record after this.
    caller.drain();
    assert!(!lab.server.has_seen(invite.header("Call-ID")), "the server saw an ACK without its INVITE");
    assert_eq!(lab.filter.stats().verdict(Verdict::AckAbsorbed), 1);
}
