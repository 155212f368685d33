//! New calls that pass because something exempts them: their source, an emergency, a call that they replace.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use filter_common::verdict::Verdict;
use filter_user::domain::Policy;
use rstest::rstest;

use crate::rig::{Rig, invite, ipv4, ipv6, new_invite, packet};

/// Parses entries of a list.
#[track_caller]
pub(crate) fn entries<T: FromStr<Err: Display> + Ord>(texts: &[&str]) -> BTreeSet<T> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("entry {text}: {error}"))).collect()
}

/// Creates a rig in maintenance with these bypass prefixes.
#[track_caller]
fn rig_with_bypass(prefixes: &[&str]) -> Rig {
    let mut rig = Rig::in_maintenance();
    rig.set_lists(&Policy { bypass: entries(prefixes), ..Policy::default() });
    rig
}

#[rstest]
#[case::host(&["198.18.0.1"], "198.18.0.1:5060", true)]
#[case::neighbour(&["198.18.0.1"], "198.18.0.3:5060", false)]
#[case::network(&["198.18.0.0/15"], "198.19.255.1:5060", true)]
#[case::next_to_the_network(&["198.18.0.0/15"], "198.20.0.1:5060", false)]
#[case::odd_length(&["198.18.0.128/25"], "198.18.0.200:5060", true)]
#[case::below_the_odd_length(&["198.18.0.128/25"], "198.18.0.127:5060", false)]
#[case::every_address(&["0.0.0.0/0"], "203.0.113.7:5060", true)]
#[case::one_of_several(&["192.0.2.0/24", "198.18.0.0/24"], "198.18.0.77:5060", true)]
#[case::no_prefixes(&[], "198.18.0.1:5060", false)]
#[case::ipv6_does_not_cover_ipv4(&["::/0"], "198.18.0.1:5060", false)]
fn ipv4_source_passes_if_and_only_if_it_is_in_a_bypass_prefix(
    #[case] prefixes: &[&str],
    #[case] source: &str,
    #[case] passes: bool,
) {
    let verdict = rig_with_bypass(prefixes).verdict(&packet(source, "198.18.0.2:5060", &new_invite()));
    assert_eq!(verdict, if passes { Verdict::Bypass } else { Verdict::Redirected });
}

#[rstest]
#[case::host(&["2001:db8::1"], "[2001:db8::1]:5060", true)]
#[case::neighbour(&["2001:db8::1"], "[2001:db8::3]:5060", false)]
#[case::network(&["2001:db8::/32"], "[2001:db8:ffff::1]:5060", true)]
#[case::next_to_the_network(&["2001:db8::/32"], "[2001:db9::1]:5060", false)]
#[case::across_the_middle(&["2001:db8:0:0:8000::/65"], "[2001:db8::8000:0:0:1]:5060", true)]
#[case::below_the_middle(&["2001:db8:0:0:8000::/65"], "[2001:db8::7000:0:0:1]:5060", false)]
#[case::every_address(&["::/0"], "[2001:db8::1]:5060", true)]
#[case::ipv4_does_not_cover_ipv6(&["0.0.0.0/0"], "[2001:db8::1]:5060", false)]
fn ipv6_source_passes_if_and_only_if_it_is_in_a_bypass_prefix(
    #[case] prefixes: &[&str],
    #[case] source: &str,
    #[case] passes: bool,
) {
    let verdict = rig_with_bypass(prefixes).verdict(&packet(source, "[2001:db8::2]:5060", &new_invite()));
    assert_eq!(verdict, if passes { Verdict::Bypass } else { Verdict::Redirected });
}

#[test]
fn source_in_a_removed_bypass_prefix_no_longer_passes() {
    let mut rig = rig_with_bypass(&["198.18.0.0/24", "2001:db8::/64", "192.0.2.0/24"]);
    rig.set_lists(&Policy { bypass: entries(&["192.0.2.0/24"]), ..Policy::default() });
    assert_eq!(rig.verdict(&ipv4(&new_invite())), Verdict::Redirected);
    assert_eq!(rig.verdict(&ipv6(&new_invite())), Verdict::Redirected);
    let kept = packet("192.0.2.9:5060", "198.18.0.2:5060", &new_invite());
    assert_eq!(rig.verdict(&kept), Verdict::Bypass);
}

/// Makes these user parts the emergency numbers of the rig.
#[track_caller]
fn set_emergency_numbers(rig: &mut Rig, numbers: &[&str]) {
    rig.set_lists(&Policy { emergency: entries(numbers), ..Policy::default() });
}

/// Returns a packet with a new INVITE to `uri`.
#[track_caller]
fn invite_to(uri: &str) -> Vec<u8> {
    let message = String::from_utf8(new_invite()).expect("the INVITE is UTF-8");
    ipv4(message.replacen("sip:bob@198.18.0.2", uri, 1).as_bytes())
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
fn call_passes_if_and_only_if_it_is_to_an_emergency_number(#[case] uri: &str, #[case] passes: bool) {
    let mut rig = Rig::in_maintenance();
    set_emergency_numbers(&mut rig, &["911", "112", "999", "+49301234567"]);
    let expected = if passes { Verdict::Emergency } else { Verdict::Redirected };
    assert_eq!(rig.verdict(&invite_to(uri)), expected);
}

#[test]
fn call_to_a_removed_emergency_number_no_longer_passes() {
    let mut rig = Rig::in_maintenance();
    set_emergency_numbers(&mut rig, &["911"]);
    set_emergency_numbers(&mut rig, &["110"]);
    assert_eq!(rig.verdict(&invite_to("sip:911@198.18.0.2")), Verdict::Redirected);
    assert_eq!(rig.verdict(&invite_to("sip:110@198.18.0.2")), Verdict::Emergency);
}

#[test]
fn call_to_the_emergency_service_urn_passes_without_any_emergency_number() {
    assert_eq!(Rig::in_maintenance().verdict(&invite_to("urn:service:sos.police")), Verdict::Emergency);
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
fn priority_replaces_and_join_exempt_before_and_after_to(#[case] header: &str, #[case] verdict: Verdict) {
    let mut rig = Rig::in_maintenance();
    for to in [format!("To: <sip:bob@b>\r\n{header}"), format!("{header}\r\nTo: <sip:bob@b>")] {
        assert_eq!(rig.verdict(&ipv4(&invite(&to))), verdict, "{to}");
        assert_eq!(rig.verdict(&ipv6(&invite(&to))), verdict, "{to}");
    }
}
