//! Calls that pass although they are new, each for its reason.

use std::collections::HashSet;

use filter_common::maps::Policy;
use filter_common::sip::UserPart;
use filter_common::verdict::Verdict;
use filter_user::prefix::Prefix;
use rstest::rstest;

use crate::rig::{Rig, frame, invite, ipv4, ipv6, new_invite, octets};

fn with_bypass(prefixes: &[&str]) -> Rig {
    let mut rig = Rig::on();
    let prefixes: HashSet<Prefix> = prefixes.iter().map(|text| text.parse().expect("a prefix")).collect();
    rig.program().set_bypass(&prefixes).expect("the tries take them");
    rig.set_policy(|policy| policy.bypass = Policy::BYPASS_IPV4 | Policy::BYPASS_IPV6);
    rig
}

#[rstest]
#[case::host(&["198.18.0.1"], "198.18.0.1:5060", true)]
#[case::neighbour(&["198.18.0.1"], "198.18.0.3:5060", false)]
#[case::network(&["198.18.0.0/15"], "198.19.255.1:5060", true)]
#[case::beside_the_network(&["198.18.0.0/15"], "198.20.0.1:5060", false)]
#[case::odd_length(&["198.18.0.128/25"], "198.18.0.200:5060", true)]
#[case::below_the_odd_length(&["198.18.0.128/25"], "198.18.0.127:5060", false)]
#[case::everybody(&["0.0.0.0/0"], "203.0.113.7:5060", true)]
#[case::one_of_several(&["192.0.2.0/24", "198.18.0.0/24"], "198.18.0.77:5060", true)]
#[case::none(&[], "198.18.0.1:5060", false)]
#[case::ipv6_does_not_cover_ipv4(&["::/0"], "198.18.0.1:5060", false)]
fn sources_in_a_bypass_prefix_pass(#[case] prefixes: &[&str], #[case] source: &str, #[case] passes: bool) {
    let verdict = with_bypass(prefixes).verdict(&octets(&frame(source, "198.18.0.2:5060", &new_invite())));
    assert_eq!(verdict, if passes { Verdict::Bypass } else { Verdict::Redirected });
}

#[rstest]
#[case::host(&["2001:db8::1"], "[2001:db8::1]:5060", true)]
#[case::neighbour(&["2001:db8::1"], "[2001:db8::3]:5060", false)]
#[case::network(&["2001:db8::/32"], "[2001:db8:ffff::1]:5060", true)]
#[case::beside_the_network(&["2001:db8::/32"], "[2001:db9::1]:5060", false)]
#[case::across_the_middle(&["2001:db8:0:0:8000::/65"], "[2001:db8::8000:0:0:1]:5060", true)]
#[case::below_the_middle(&["2001:db8:0:0:8000::/65"], "[2001:db8::7000:0:0:1]:5060", false)]
#[case::everybody(&["::/0"], "[2001:db8::1]:5060", true)]
#[case::ipv4_does_not_cover_ipv6(&["0.0.0.0/0"], "[2001:db8::1]:5060", false)]
fn ipv6_sources_in_a_bypass_prefix_pass(#[case] prefixes: &[&str], #[case] source: &str, #[case] passes: bool) {
    let verdict = with_bypass(prefixes).verdict(&octets(&frame(source, "[2001:db8::2]:5060", &new_invite())));
    assert_eq!(verdict, if passes { Verdict::Bypass } else { Verdict::Redirected });
}

#[test]
fn prefixes_that_are_taken_out_no_longer_count() {
    let mut rig = with_bypass(&["198.18.0.0/24", "2001:db8::/64", "192.0.2.0/24"]);
    let kept: HashSet<Prefix> = ["192.0.2.0/24".parse().expect("a prefix")].into();
    rig.program().set_bypass(&kept).expect("the tries take them");
    assert_eq!(rig.verdict(&octets(&ipv4(&new_invite()))), Verdict::Redirected);
    assert_eq!(rig.verdict(&octets(&ipv6(&new_invite()))), Verdict::Redirected);
    let kept = octets(&frame("192.0.2.9:5060", "198.18.0.2:5060", &new_invite()));
    assert_eq!(rig.verdict(&kept), Verdict::Bypass);
}

fn with_emergency(users: &[&str]) -> Rig {
    let mut rig = Rig::on();
    let users: HashSet<UserPart> = users.iter().map(|user| UserPart::new(user).expect("a user part")).collect();
    rig.program().set_emergency(&users).expect("the map takes them");
    rig
}

fn invite_to(uri: &str) -> Vec<u8> {
    let message = String::from_utf8(new_invite()).expect("UTF-8");
    octets(&ipv4(message.replacen("sip:bob@198.18.0.2", uri, 1).as_bytes()))
}

#[rstest]
#[case("sip:911@198.18.0.2", true)]
#[case("sips:112@198.18.0.2", true)]
#[case("tel:999", true)]
#[case("tel:112;phone-context=+49", true)]
#[case("sip:+49301234567@198.18.0.2", true)]
#[case("sip:9111@198.18.0.2", false)]
#[case("sip:bob@911", false)]
#[case("sip:91@198.18.0.2", false)]
fn emergency_numbers_pass(#[case] uri: &str, #[case] passes: bool) {
    let mut rig = with_emergency(&["911", "112", "999", "+49301234567"]);
    let expected = if passes { Verdict::Emergency } else { Verdict::Redirected };
    assert_eq!(rig.verdict(&invite_to(uri)), expected);
}

#[test]
fn the_emergency_numbers_can_be_changed() {
    let mut rig = with_emergency(&["911"]);
    rig.program().set_emergency(&[UserPart::new("110").expect("a user part")].into()).expect("the map takes them");
    assert_eq!(rig.verdict(&invite_to("sip:911@198.18.0.2")), Verdict::Redirected);
    assert_eq!(rig.verdict(&invite_to("sip:110@198.18.0.2")), Verdict::Emergency);
}

#[test]
fn the_urn_of_the_emergency_service_passes_whatever_the_numbers_are() {
    assert_eq!(Rig::on().verdict(&invite_to("urn:service:sos.police")), Verdict::Emergency);
}

#[rstest]
#[case("Priority: emergency", Verdict::Emergency)]
#[case("Priority: psap-callback", Verdict::Emergency)]
#[case("Priority: urgent", Verdict::Redirected)]
#[case("Resource-Priority: ets.0", Verdict::Emergency)]
#[case("Resource-Priority: q735.1,\r\n wps.3", Verdict::Emergency)]
#[case("Resource-Priority: esnet.2", Verdict::Emergency)]
#[case("Resource-Priority: q735.1", Verdict::Redirected)]
#[case("Replaces: a@b;to-tag=1;from-tag=2", Verdict::Replaces)]
#[case("Join: a@b;to-tag=1;from-tag=2", Verdict::Replaces)]
fn headers_exempt_wherever_they_stand(#[case] header: &str, #[case] verdict: Verdict) {
    let mut rig = Rig::on();
    for to in [format!("To: <sip:bob@b>\r\n{header}"), format!("{header}\r\nTo: <sip:bob@b>")] {
        assert_eq!(rig.verdict(&octets(&ipv4(&invite(&to)))), verdict, "{to}");
        assert_eq!(rig.verdict(&octets(&ipv6(&invite(&to)))), verdict, "{to}");
    }
}
