//! Requests other than INVITE: those that the policy refuses, those that are never refused, and the ACK to our
//! response.

use filter_common::sip::Method;
use filter_common::verdict::Verdict;
use rstest::rstest;

use crate::rig::{Rig, TAG_PREFIX, invite, ipv4, ipv6};

/// Returns a request of `method` with `to` as its To header.
fn request(method: &str, to: &str) -> Vec<u8> {
    String::from_utf8(invite(to)).expect("the INVITE is UTF-8").replace("INVITE", method).into_bytes()
}

/// Creates a rig in maintenance whose policy lists `methods`.
#[track_caller]
fn rig_refusing(methods: &[Method]) -> Rig {
    let mut rig = Rig::in_maintenance();
    rig.set_policy(|policy| policy.methods = methods.iter().fold(0, |bits, method| bits | method.bit()));
    rig
}

#[rstest]
fn method_is_refused_only_if_the_policy_lists_it(
    #[values(Method::Register, Method::Subscribe, Method::Message, Method::Publish, Method::Options)] method: Method,
) {
    let packet = ipv4(&request(method.as_str(), "To: <sip:bob@b>"));
    assert_eq!(rig_refusing(&[method]).verdict(&packet), Verdict::RedirectedMethod);
    let others: Vec<Method> = Method::REFUSABLE.iter().copied().filter(|other| *other != method).collect();
    assert_eq!(rig_refusing(&others).verdict(&packet), Verdict::NotInvite);

    let mut rig = rig_refusing(&[method]);
    let in_dialog = ipv4(&request(method.as_str(), "To: <sip:bob@b>;tag=1"));
    assert_eq!(rig.verdict(&in_dialog), Verdict::InDialog);
    rig.set_maintenance(false);
    assert_eq!(rig.verdict(&packet), Verdict::NotInvite);
}

#[test]
fn new_call_passes_if_the_policy_does_not_list_invite() {
    let mut rig = rig_refusing(&[Method::Options]);
    assert_eq!(rig.verdict(&ipv4(&invite("To: <sip:bob@b>"))), Verdict::Off);
}

#[rstest]
fn method_of_established_calls_is_never_refused(
    #[values("CANCEL", "ACK", "BYE", "PRACK", "UPDATE", "INFO", "NOTIFY", "REFER")] method: &str,
) {
    let mut rig = Rig::in_maintenance();
    rig.set_policy(|policy| policy.methods = u32::MAX);
    for to in ["To: <sip:bob@b>", "To: <sip:bob@b>;tag=1"] {
        assert_eq!(rig.verdict(&ipv4(&request(method, to))), Verdict::NotInvite, "{to}");
    }
}

#[test]
fn emergency_priority_exempts_other_methods_than_invite() {
    let mut rig = rig_refusing(&[Method::Message]);
    let packet = ipv4(&request("MESSAGE", "Priority: emergency\r\nTo: <sip:bob@b>"));
    assert_eq!(rig.verdict(&packet), Verdict::Emergency);
}

/// Returns an ACK with `tag` as its To tag.
fn ack(tag: &str) -> Vec<u8> {
    request("ACK", &format!("Route: <sip:198.18.0.2;lr>\r\nTo: <sip:bob@b>;tag={tag}"))
}

/// Returns a To tag as our responses have it.
fn our_tag() -> String {
    format!("{}0123456789abcdef", String::from_utf8_lossy(&TAG_PREFIX))
}

#[test]
fn ack_to_our_response_is_absorbed() {
    let mut rig = Rig::in_maintenance();
    for to in [
        format!("To: <sip:bob@b>;tag={}", our_tag()),
        format!("t : \"B\" <sip:bob@b;tag=x>;a=b;TAG = {}", our_tag()),
        format!("To: <sip:bob@b>\r\n ;tag={}", our_tag()),
    ] {
        assert_eq!(rig.verdict(&ipv4(&request("ACK", &to))), Verdict::AckAbsorbed, "{to}");
    }
    assert_eq!(rig.verdict(&ipv4(&ack(&our_tag()))), Verdict::AckAbsorbed);
    assert_eq!(rig.verdict(&ipv6(&ack(&our_tag()))), Verdict::AckAbsorbed);
}

#[rstest]
#[case::of_the_proxy("c76dc810db5fe7d4da04ee295171b524.1234")]
#[case::with_another_digit_in_our_prefix("ourtag00123456789abcdef")]
#[case::with_our_prefix_in_capitals("OURTAG010123456789abcdef")]
#[case::with_our_prefix_further_in("xourtag01")]
#[case::with_the_beginning_of_our_prefix("ourtag0")]
fn ack_with_a_foreign_to_tag_passes(#[case] tag: &str) {
    assert_eq!(Rig::in_maintenance().verdict(&ipv4(&ack(tag))), Verdict::NotInvite);
}

#[test]
fn ack_to_our_response_is_absorbed_until_the_32_s_tail_ends() {
    let mut rig = Rig::in_maintenance();
    rig.end_maintenance();
    assert_eq!(rig.verdict(&ipv4(&ack(&our_tag()))), Verdict::AckAbsorbed);
    rig.end_tail();
    assert_eq!(rig.verdict(&ipv4(&ack(&our_tag()))), Verdict::NotInvite);
}

#[test]
fn ack_to_our_response_is_absorbed_without_a_lease() {
    let mut rig = Rig::new();
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&ipv4(&ack(&our_tag()))), Verdict::AckAbsorbed);
}
