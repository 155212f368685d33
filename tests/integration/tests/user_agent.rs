//! A real user agent, baresip, calls through the filter: refused, accepted, and undisturbed in an established call.
#![cfg(test)]

use std::time::Duration;

use filter_common::verdict::Verdict;
use filter_lab::baresip::Baresip;
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::Family;
use rstest::rstest;

/// Waits until the server has seen `count` requests of `method`.
#[track_caller]
fn wait_for_count(lab: &Lab, method: &str, count: usize) {
    wait::until(format_args!("{method} number {count} at the server"), Duration::from_secs(5), || {
        lab.server.count_all(method) == count
    });
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn baresip_call_is_refused_while_on_and_accepted_while_off(#[case] family: Family) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    let mut phone = Baresip::start(&lab, family);
    phone.dial();
    assert_eq!(phone.expect_event("CALL_CLOSED", &["CALL_ESTABLISHED"]), "503 Maintenance");
    wait::until("the ACK to be absorbed", Duration::from_secs(2), || {
        lab.filter.stats().verdict(Verdict::AckAbsorbed) == 1
    });
    assert_eq!(lab.filter.stats().verdict(Verdict::Redirected), 1, "the INVITE was sent more than once");
    assert_eq!(lab.server.requests(), [], "the server saw a request of a refused call");

    lab.filter.run(&["off"]);
    phone.dial();
    phone.expect_event("CALL_ESTABLISHED", &["CALL_CLOSED"]);
    wait_for_count(&lab, "ACK", 1);
    phone.command("hangup", "");
    wait_for_count(&lab, "BYE", 1);
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn established_baresip_call_continues_over_the_switch_and_ends_cleanly(#[case] family: Family) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let mut phone = Baresip::start(&lab, family);
    phone.dial();
    phone.expect_event("CALL_ESTABLISHED", &["CALL_CLOSED"]);
    wait_for_count(&lab, "ACK", 1);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&lab.caller(family));

    // Both are re-INVITEs. The user agent acknowledges each 200.
    phone.command("hold", "");
    wait_for_count(&lab, "ACK", 2);
    phone.command("resume", "");
    wait_for_count(&lab, "ACK", 3);
    phone.command("hangup", "");
    wait_for_count(&lab, "BYE", 1);
    wait_for_count(&lab, "INVITE", 3);
    assert!(!phone.log().contains("SIP/2.0 503"), "{}", phone.log());
}
