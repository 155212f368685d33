//! New calls that reach the server while maintenance is on: emergency calls, and those that replace or join an
//! established call.
#![cfg(test)]

use filter_common::verdict::Verdict;
use filter_lab::lab::Lab;
use filter_lab::request::Request;
use filter_lab::wire::Family;
use rstest::rstest;

/// Puts another user part into the Request-URI and To.
fn dial(request: &mut Request, number: &str) {
    request.uri = request.uri.replace("+4930123456", number);
    let to = request.header("To").replace("+4930123456", number);
    request.set("To", &to);
}

#[rstest]
#[case::number_911(|invite: &mut Request| dial(invite, "911"), Verdict::Emergency)]
#[case::number_112(|invite: &mut Request| dial(invite, "112"), Verdict::Emergency)]
#[case::service_urn(|invite: &mut Request| "urn:service:sos.fire".clone_into(&mut invite.uri), Verdict::Emergency)]
#[case::priority(|invite: &mut Request| invite.push("Priority", "emergency"), Verdict::Emergency)]
#[case::call_back(|invite: &mut Request| invite.push("Priority", "psap-callback"), Verdict::Emergency)]
#[case::resource_priority(|invite: &mut Request| invite.push("Resource-Priority", "ets.0"), Verdict::Emergency)]
#[case::replaces(|invite: &mut Request| invite.push("Replaces", "a@b;to-tag=1;from-tag=2"), Verdict::Replaces)]
#[case::join(|invite: &mut Request| invite.push("Join", "a@b;to-tag=1;from-tag=2"), Verdict::Replaces)]
fn exempt_call_reaches_the_server_while_on(#[case] mark: fn(&mut Request), #[case] verdict: Verdict) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    for (passed, family) in [(1, Family::V4), (2, Family::V6)] {
        let caller = lab.caller(family);
        caller.expect(&caller.invite(), 503);
        let mut invite = caller.invite();
        mark(&mut invite);
        caller.expect(&invite, 200);
        assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);
        assert_eq!(lab.filter.stats().verdict(verdict), passed);
    }
}

#[test]
fn call_that_only_resembles_an_exempt_one_is_refused() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    let marks: [fn(&mut Request); 4] = [
        |invite| dial(invite, "9110"),
        |invite| invite.push("Priority", "urgent"),
        |invite| invite.push("X-Replaces", "a@b;to-tag=1;from-tag=2"),
        // Supports Replaces without using it, as nearly every client does.
        |invite| invite.set("Supported", "replaces, join"),
    ];
    for mark in marks {
        let mut invite = caller.invite();
        mark(&mut invite);
        caller.expect(&invite, 503);
        assert!(!lab.server.has_seen(invite.header("Call-ID")), "{invite}");
    }
}

#[test]
fn bypass_prefix_is_in_force_when_the_command_returns() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    for (family, prefix) in [(Family::V4, "198.18.0.0/24"), (Family::V6, "2001:db8::/32")] {
        let caller = lab.caller(family);
        lab.expect_call_refused(&caller);
        lab.filter.run(&["bypass", "add", prefix, "--why", "test callers"]);
        lab.expect_call_accepted(&caller);
        lab.filter.run(&["bypass", "remove", prefix]);
        lab.expect_call_refused(&caller);
    }
    assert_eq!(lab.filter.stats().verdict(Verdict::Bypass), 2);
}

#[test]
fn emergency_number_is_in_force_when_the_command_returns() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    for (command, status) in [("add", 200), ("remove", 503)] {
        lab.filter.run(&["emergency", command, "110"]);
        let mut invite = caller.invite();
        dial(&mut invite, "110");
        caller.expect(&invite, status);
    }
}

#[test]
fn methods_and_percent_given_to_on_are_in_force() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on", "--methods", "OPTIONS"]);
    lab.expect_call_accepted(&caller);
    caller.expect(&caller.request("OPTIONS"), 503);
    lab.filter.run(&["on", "--methods", "INVITE", "--percent", "100"]);
    lab.expect_call_refused(&caller);
    caller.expect(&caller.request("OPTIONS"), 200);
}
