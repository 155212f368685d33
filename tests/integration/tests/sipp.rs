//! Calls of sipp through the filter: refused once each while on, completed while off, and continued over the switch.
#![cfg(test)]

use std::time::Duration;

use filter_common::verdict::Verdict;
use filter_lab::lab::Lab;
use filter_lab::sipp::Sipp;
use filter_lab::wait;
use filter_lab::wire::Family;
use rstest::rstest;

/// Number of calls.
const CALLS: u32 = 100;
/// Number of new calls in a second.
const RATE: u32 = 50;

#[rstest]
#[case::ipv4_native(Family::V4, "native")]
#[case::ipv6_native(Family::V6, "native")]
#[case::ipv4_generic(Family::V4, "generic")]
fn sipp_calls_are_refused_once_each_and_their_acks_absorbed(#[case] family: Family, #[case] mode: &str) {
    let lab = Lab::new();
    let _daemon = lab.start(mode);
    lab.filter.run(&["on"]);
    Sipp::start(&lab, family, "refused", CALLS, RATE).expect_success();

    // One INVITE, one 503 and one ACK for each call. More would be retransmissions, and fewer losses.
    let stats = lab.filter.stats();
    assert_eq!(stats.verdict(Verdict::Redirected), u64::from(CALLS), "{stats:?}");
    assert_eq!(stats.answered(), u64::from(CALLS), "{stats:?}");
    assert_eq!(stats.verdict(Verdict::AckAbsorbed), u64::from(CALLS), "{stats:?}");
    assert_eq!(lab.server.requests(), [], "the server saw a request of a refused call");
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn sipp_calls_complete_while_off(#[case] family: Family) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    Sipp::start(&lab, family, "completed", CALLS, RATE).expect_success();
    // Once each: the filter delays no request so long that sipp sends it again.
    for method in ["INVITE", "ACK", "BYE"] {
        assert_eq!(lab.server.count_all(method), CALLS as usize, "{method}");
    }
    assert_eq!(lab.filter.stats().verdict(Verdict::Off), u64::from(CALLS));
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn established_sipp_calls_continue_change_and_end_while_on(#[case] family: Family) {
    const ESTABLISHED: u32 = 20;
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let sipp = Sipp::start(&lab, family, "held", ESTABLISHED, 100);
    wait::until("sipp's calls to be established", Duration::from_secs(5), || {
        lab.server.count_all("ACK") == ESTABLISHED as usize
    });
    lab.filter.run(&["on"]);
    let invites = lab.server.count_all("INVITE");
    assert_eq!(invites, ESTABLISHED as usize, "maintenance came too late for this test: calls were changed before");
    lab.expect_call_refused(&lab.caller(family));

    sipp.expect_success();
    assert_eq!(["INVITE", "ACK", "BYE"].map(|method| lab.server.count_all(method)), [40, 40, 20]);
    let stats = lab.filter.stats();
    assert_eq!(stats.verdict(Verdict::InDialog), u64::from(ESTABLISHED), "{stats:?}");
}
