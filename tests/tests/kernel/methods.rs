//! Requests other than INVITE: what the policy refuses, what is never refused, and the ACK to our own response.

use std::time::Duration;

use filter_common::sip::Method;
use filter_common::verdict::Verdict;
use rstest::rstest;

use crate::rig::{Rig, TAG_PREFIX, invite, ipv4, ipv6, octets};

/// A request of `method` with this To header.
fn request(method: &str, to: &str) -> Vec<u8> {
    String::from_utf8(invite(to)).expect("UTF-8").replace("INVITE", method).into_bytes()
}

fn rig_refusing(methods: &[Method]) -> Rig {
    let mut rig = Rig::on();
    rig.set_policy(|policy| policy.methods = methods.iter().fold(0, |bits, method| bits | method.bit()));
    rig
}

#[rstest]
fn a_method_is_refused_if_and_only_if_the_policy_says_so(
    #[values(Method::Register, Method::Subscribe, Method::Message, Method::Publish, Method::Options)] method: Method,
) {
    let packet = octets(&ipv4(&request(method.as_str(), "To: <sip:bob@b>")));
    assert_eq!(rig_refusing(&[method]).verdict(&packet), Verdict::RedirectedMethod);
    let others: Vec<Method> = Method::REFUSABLE.iter().copied().filter(|other| *other != method).collect();
    assert_eq!(rig_refusing(&others).verdict(&packet), Verdict::NotInvite);

    let mut rig = rig_refusing(&[method]);
    let within_a_dialog = octets(&ipv4(&request(method.as_str(), "To: <sip:bob@b>;tag=1")));
    assert_eq!(rig.verdict(&within_a_dialog), Verdict::InDialog);
    rig.set_maintenance(false);
    assert_eq!(rig.verdict(&packet), Verdict::NotInvite);
}

#[test]
fn without_invite_among_the_methods_calls_pass() {
    let mut rig = rig_refusing(&[Method::Options]);
    assert_eq!(rig.verdict(&octets(&ipv4(&invite("To: <sip:bob@b>")))), Verdict::Off);
}

#[rstest]
fn what_belongs_to_calls_that_are_up_is_never_refused(
    #[values("CANCEL", "ACK", "BYE", "PRACK", "UPDATE", "INFO", "NOTIFY", "REFER")] method: &str,
) {
    let mut rig = Rig::on();
    rig.set_policy(|policy| policy.methods = u32::MAX);
    for to in ["To: <sip:bob@b>", "To: <sip:bob@b>;tag=1"] {
        assert_eq!(rig.verdict(&octets(&ipv4(&request(method, to)))), Verdict::NotInvite, "{to}");
    }
}

#[test]
fn exemptions_hold_for_other_methods_too() {
    let mut rig = rig_refusing(&[Method::Message]);
    let packet = octets(&ipv4(&request("MESSAGE", "Priority: emergency\r\nTo: <sip:bob@b>")));
    assert_eq!(rig.verdict(&packet), Verdict::Emergency);
}

fn ack(tag: &str) -> Vec<u8> {
    request("ACK", &format!("Route: <sip:198.18.0.2;lr>\r\nTo: <sip:bob@b>;tag={tag}"))
}

fn our_tag() -> String {
    format!("{}0123456789abcdef", String::from_utf8_lossy(&TAG_PREFIX))
}

#[test]
fn the_ack_to_our_response_never_reaches_the_proxy() {
    let mut rig = Rig::on();
    for to in [
        format!("To: <sip:bob@b>;tag={}", our_tag()),
        format!("t : \"B\" <sip:bob@b;tag=x>;a=b;TAG = {}", our_tag()),
        format!("To: <sip:bob@b>\r\n ;tag={}", our_tag()),
    ] {
        assert_eq!(rig.verdict(&octets(&ipv4(&request("ACK", &to)))), Verdict::AckAbsorbed, "{to}");
    }
    assert_eq!(rig.verdict(&octets(&ipv4(&ack(&our_tag())))), Verdict::AckAbsorbed);
    assert_eq!(rig.verdict(&octets(&ipv6(&ack(&our_tag())))), Verdict::AckAbsorbed);
}

#[rstest]
#[case::anothers("c76dc810db5fe7d4da04ee295171b524.1234")]
#[case::like_ours("ourtag00123456789abcdef")]
#[case::ours_in_capitals("OURTAG010123456789abcdef")]
#[case::ours_inside("xourtag01")]
#[case::only_the_beginning("ourtag0")]
fn any_other_ack_passes(#[case] tag: &str) {
    assert_eq!(Rig::on().verdict(&octets(&ipv4(&ack(tag)))), Verdict::NotInvite);
}

#[test]
fn the_ack_is_absorbed_for_32_s_after_the_end_and_not_longer() {
    let mut rig = Rig::on();
    rig.end_maintenance(Duration::from_millis(300));
    assert_eq!(rig.verdict(&octets(&ipv4(&ack(&our_tag())))), Verdict::AckAbsorbed);
    std::thread::sleep(Duration::from_millis(320));
    assert_eq!(rig.verdict(&octets(&ipv4(&ack(&our_tag())))), Verdict::NotInvite);
}

#[test]
fn a_daemon_without_a_lease_absorbs_acks_all_the_same() {
    let mut rig = Rig::off();
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&octets(&ipv4(&ack(&our_tag())))), Verdict::AckAbsorbed);
}
