//! A retransmitted INVITE gets the verdict of the first one, across switches of maintenance; and the share of calls
//! that is refused.

use filter_common::verdict::Verdict;

use crate::rig::{Rig, call, invite, ipv4, ipv6, packet};

#[test]
fn invite_that_passed_before_maintenance_passes_when_retransmitted() {
    let mut rig = Rig::new();
    rig.grant_lease();
    assert_eq!(rig.verdict(&call(1)), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(1)), Verdict::Seen);
    assert_eq!(rig.verdict(&call(2)), Verdict::Redirected);
    assert_eq!(rig.verdict(&call(1)), Verdict::Seen);
}

#[test]
fn ipv6_invite_that_passed_before_maintenance_passes_when_retransmitted() {
    let mut rig = Rig::new();
    rig.grant_lease();
    let packet = ipv6(&invite("To: <sip:bob@b>"));
    assert_eq!(rig.verdict(&packet), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&packet), Verdict::Seen);
}

#[test]
fn invite_refused_during_maintenance_is_refused_when_retransmitted_after_it() {
    let mut rig = Rig::in_maintenance();
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    rig.end_maintenance();
    assert_eq!(rig.verdict(&call(1)), Verdict::RedirectedAgain);
    assert_eq!(rig.verdict(&call(2)), Verdict::Off);
    assert_eq!(rig.verdict(&call(1)), Verdict::RedirectedAgain);
}

#[test]
fn invite_refused_during_maintenance_passes_when_retransmitted_after_the_32_s_tail() {
    let mut rig = Rig::in_maintenance();
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    rig.end_maintenance();
    assert_eq!(rig.verdict(&call(1)), Verdict::RedirectedAgain);
    rig.end_tail();
    assert_eq!(rig.verdict(&call(1)), Verdict::Off);
}

#[test]
fn each_call_keeps_its_verdict_over_several_switches_of_maintenance() {
    let mut rig = Rig::new();
    rig.grant_lease();
    assert_eq!(rig.verdict(&call(1)), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(2)), Verdict::Redirected);
    rig.end_maintenance();
    assert_eq!(rig.verdict(&call(1)), Verdict::Off);
    assert_eq!(rig.verdict(&call(2)), Verdict::RedirectedAgain);
    assert_eq!(rig.verdict(&call(3)), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(1)), Verdict::Seen);
    assert_eq!(rig.verdict(&call(2)), Verdict::Redirected);
    assert_eq!(rig.verdict(&call(3)), Verdict::Seen);
}

#[test]
fn transaction_is_identified_by_the_bytes_of_the_message_and_its_source() {
    let mut rig = Rig::new();
    rig.grant_lease();
    let message = invite("To: <sip:bob@b>");
    assert_eq!(rig.verdict(&ipv4(&message)), Verdict::Off);
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&ipv4(&message)), Verdict::Seen);
    for (source, destination) in [
        ("198.18.0.1:5063", "198.18.0.2:5060"),
        ("198.18.0.3:5062", "198.18.0.2:5060"),
        ("[2001:db8::1]:5062", "[2001:db8::2]:5060"),
    ] {
        assert_eq!(rig.verdict(&packet(source, destination, &message)), Verdict::Redirected, "from {source}");
    }
    let longer = [&message[..], b"x"].concat();
    assert_eq!(rig.verdict(&ipv4(&longer)), Verdict::Redirected, "one byte longer");
    let mut edited = message;
    edited[60] ^= 1;
    assert_ne!(rig.verdict(&ipv4(&edited)), Verdict::Seen, "one byte changed");
}

#[test]
fn invite_that_passed_without_a_responder_keeps_passing_when_there_is_one() {
    let mut rig = Rig::new();
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(1)), Verdict::NoLease);
    rig.grant_lease();
    assert_eq!(rig.verdict(&call(1)), Verdict::Seen);
    rig.lease_empty_slot();
    assert_eq!(rig.verdict(&call(2)), Verdict::NoSocket);
    rig.grant_lease();
    assert_eq!(rig.verdict(&call(2)), Verdict::Seen);
}

#[test]
fn full_transaction_cache_evicts_the_oldest_calls_and_keeps_the_newest() {
    let mut rig = Rig::with_transactions(1024);
    rig.grant_lease();
    for number in 0..10_000 {
        assert_eq!(rig.verdict(&call(number)), Verdict::Off, "call {number}");
    }
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&call(9_999)), Verdict::Seen);
    assert_eq!(rig.verdict(&call(0)), Verdict::Redirected);
}

#[test]
fn flood_of_refused_calls_does_not_evict_a_call_that_passed() {
    let mut rig = Rig::with_transactions(1024);
    rig.grant_lease();
    assert_eq!(rig.verdict(&call(1_000_000)), Verdict::Off);
    rig.set_maintenance(true);
    for number in 0..10_000 {
        assert_eq!(rig.verdict(&call(number)), Verdict::Redirected, "call {number}");
    }
    assert_eq!(rig.verdict(&call(1_000_000)), Verdict::Seen);
}

#[test]
fn share_of_refused_calls_is_that_of_the_policy() {
    let mut rig = Rig::with_transactions(65_536);
    rig.set_policy(|policy| {
        policy.maintenance = 1;
        policy.percent = 30;
    });
    rig.grant_lease();
    let verdicts: Vec<Verdict> = (0..10_000).map(|number| rig.verdict(&call(number))).collect();
    let refused = verdicts.iter().filter(|verdict| **verdict == Verdict::Redirected).count();
    assert!((2_800..=3_200).contains(&refused), "{refused} of 10000 refused at 30 %");
    for (number, first) in verdicts.iter().enumerate().take(1_000) {
        let again = rig.verdict(&call(number as u32));
        assert_eq!(again.is_redirect(), first.is_redirect(), "call {number}: {first:?}, then {again:?}");
    }
}

#[test]
fn change_of_the_refused_share_does_not_change_earlier_decisions() {
    let mut rig = Rig::with_transactions(65_536);
    rig.grant_lease();
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
