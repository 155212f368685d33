//! The same request gets the same answer, also when maintenance has been switched meanwhile; and the share that is refused.

use std::time::Duration;

use filter_common::verdict::Verdict;

use crate::rig::{Rig, call, frame, invite, ipv4, ipv6, octets};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn an_invite_that_passed_before_the_switch_still_passes() {
    let mut rig = Rig::off();
    rig.set_lease(LONG);
    assert_eq!(rig.verdict(&call(1)), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(1)), Verdict::Seen);
    assert_eq!(rig.verdict(&call(2)), Verdict::Redirected);
    assert_eq!(rig.verdict(&call(1)), Verdict::Seen);
}

#[test]
fn an_invite_that_was_refused_before_the_switch_is_refused_again() {
    let mut rig = Rig::on();
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    rig.end_maintenance(LONG);
    assert_eq!(rig.verdict(&call(1)), Verdict::RedirectedAgain);
    assert_eq!(rig.verdict(&call(2)), Verdict::Off);
    assert_eq!(rig.verdict(&call(1)), Verdict::RedirectedAgain);
}

#[test]
fn each_keeps_its_fate_over_several_switches() {
    let mut rig = Rig::off();
    rig.set_lease(LONG);
    assert_eq!(rig.verdict(&call(1)), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(2)), Verdict::Redirected);
    rig.end_maintenance(LONG);
    assert_eq!(rig.verdict(&call(1)), Verdict::Off);
    assert_eq!(rig.verdict(&call(2)), Verdict::RedirectedAgain);
    assert_eq!(rig.verdict(&call(3)), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(1)), Verdict::Seen);
    assert_eq!(rig.verdict(&call(2)), Verdict::Redirected);
    assert_eq!(rig.verdict(&call(3)), Verdict::Seen);
}

#[test]
fn the_end_of_the_32_s_ends_it() {
    let mut rig = Rig::on();
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    rig.end_maintenance(Duration::from_millis(300));
    assert_eq!(rig.verdict(&call(1)), Verdict::RedirectedAgain);
    std::thread::sleep(Duration::from_millis(320));
    assert_eq!(rig.verdict(&call(1)), Verdict::Off);
}

#[test]
fn a_transaction_is_the_same_octets_from_the_same_source() {
    let mut rig = Rig::off();
    rig.set_lease(LONG);
    let message = invite("To: <sip:bob@b>");
    assert_eq!(rig.verdict(&octets(&ipv4(&message))), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&octets(&ipv4(&message))), Verdict::Seen);
    for (source, destination) in [
        ("198.18.0.1:5063", "198.18.0.2:5060"),
        ("198.18.0.3:5062", "198.18.0.2:5060"),
        ("[2001:db8::1]:5062", "[2001:db8::2]:5060"),
    ] {
        assert_eq!(rig.verdict(&octets(&frame(source, destination, &message))), Verdict::Redirected, "{source}");
    }
    let longer = [&message[..], b"x"].concat();
    assert_eq!(rig.verdict(&octets(&ipv4(&longer))), Verdict::Redirected);
    let mut other = message.clone();
    other[60] ^= 1;
    assert_ne!(rig.verdict(&octets(&ipv4(&other))), Verdict::Seen);
}

#[test]
fn what_passed_because_nobody_answered_goes_on_passing() {
    let mut rig = Rig::off();
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(1)), Verdict::NoLease);
    rig.set_lease(LONG);
    assert_eq!(rig.verdict(&call(1)), Verdict::Seen);
    rig.set_empty_slot();
    assert_eq!(rig.verdict(&call(2)), Verdict::NoSocket);
    rig.set_lease(LONG);
    assert_eq!(rig.verdict(&call(2)), Verdict::Seen);
}

#[test]
fn a_full_memory_forgets_the_oldest_and_keeps_the_newest() {
    let mut rig = Rig::remembering(1024);
    rig.set_lease(LONG);
    for number in 0..10_000 {
        assert_eq!(rig.verdict(&call(number)), Verdict::Off);
    }
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(9_999)), Verdict::Seen);
    assert_eq!(rig.verdict(&call(0)), Verdict::Redirected);
}

#[test]
fn a_flood_of_refused_calls_does_not_push_out_what_passed() {
    let mut rig = Rig::remembering(1024);
    rig.set_lease(LONG);
    assert_eq!(rig.verdict(&call(1_000_000)), Verdict::Off);
    rig.set_maintenance(true);
    for number in 0..10_000 {
        assert_eq!(rig.verdict(&call(number)), Verdict::Redirected);
    }
    assert_eq!(rig.verdict(&call(1_000_000)), Verdict::Seen);
}

#[test]
fn the_share_of_refused_calls_is_what_the_policy_says() {
    let mut rig = Rig::remembering(65_536);
    rig.set_policy(|policy| {
        policy.maintenance = 1;
        policy.percent = 30;
    });
    rig.set_lease(LONG);
    let verdicts: Vec<Verdict> = (0..10_000).map(|number| rig.verdict(&call(number))).collect();
    let refused = verdicts.iter().filter(|verdict| **verdict == Verdict::Redirected).count();
    assert!((2_800..=3_200).contains(&refused), "{refused} of 10000 at 30 %");
    for (number, first) in verdicts.iter().enumerate().take(1_000) {
        let again = rig.verdict(&call(number as u32));
        assert_eq!(again.is_redirect(), first.is_redirect(), "call {number}: {first:?}, then {again:?}");
    }
}

#[test]
fn a_share_that_is_changed_changes_nothing_for_what_has_been_decided() {
    let mut rig = Rig::remembering(65_536);
    rig.set_lease(LONG);
    rig.set_policy(|policy| {
        policy.maintenance = 1;
        policy.percent = 50;
    });
    let first: Vec<bool> = (0..500).map(|number| rig.verdict(&call(number)).is_redirect()).collect();
    for percent in [1, 99] {
        rig.set_policy(|policy| policy.percent = percent);
        let again: Vec<bool> = (0..500).map(|number| rig.verdict(&call(number)).is_redirect()).collect();
        assert_eq!(again, first, "at {percent} %");
    }
}

#[test]
fn over_ipv6_it_is_the_same() {
    let mut rig = Rig::off();
    rig.set_lease(LONG);
    let packet = octets(&ipv6(&invite("To: <sip:bob@b>")));
    assert_eq!(rig.verdict(&packet), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&packet), Verdict::Seen);
}
