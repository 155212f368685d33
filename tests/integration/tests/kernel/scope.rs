//! The scope of maintenance: new calls from its sources and to its destinations are refused, and all others pass.

use filter_common::maps::AddressKind;
use filter_common::sip::Method;
use filter_common::verdict::Verdict;
use filter_user::domain::{Policy, Scope};
use rstest::rstest;

use crate::exemptions::entries;
use crate::rig::{Rig, call, invite, ipv4, ipv6, new_invite, packet, words};

const ALL_IPV4: &str = "0.0.0.0/0";

/// Returns a policy with this scope and these bypass prefixes.
#[track_caller]
fn policy(sources: &[&str], destinations: &[&str], bypass: &[&str]) -> Policy {
    let scope = Scope { sources: entries(sources), destinations: entries(destinations) };
    Policy { scope: Some(scope), bypass: entries(bypass), ..Policy::default() }
}

/// Creates a rig in maintenance with this policy. The proxy has a second address in each family.
#[track_caller]
fn rig(policy: &Policy) -> Rig {
    let mut rig = Rig::in_maintenance();
    rig.own(|owned| {
        for address in ["198.18.0.4", "2001:db8::4"] {
            owned.addresses.insert(words(address), AddressKind::Own as u32);
        }
    });
    rig.set_lists(policy);
    rig
}

#[rstest]
#[case::host(&["198.18.0.1"], "198.18.0.1:5062", Verdict::Redirected)]
#[case::neighbour(&["198.18.0.1"], "198.18.0.3:5062", Verdict::OutOfScope)]
#[case::network(&["198.18.0.0/15"], "198.19.255.1:5062", Verdict::Redirected)]
#[case::next_to_the_network(&["198.18.0.0/15"], "198.20.0.1:5062", Verdict::OutOfScope)]
#[case::every_address(&[ALL_IPV4], "203.0.113.7:5062", Verdict::Redirected)]
#[case::one_of_several(&["192.0.2.0/24", "198.18.0.0/24"], "198.18.0.77:5062", Verdict::Redirected)]
#[case::ipv6_does_not_cover_ipv4(&["::/0"], "198.18.0.1:5062", Verdict::OutOfScope)]
#[case::ipv6_host(&["2001:db8::1"], "[2001:db8::1]:5062", Verdict::Redirected)]
#[case::ipv6_neighbour(&["2001:db8::1"], "[2001:db8::3]:5062", Verdict::OutOfScope)]
#[case::ipv6_network(&["2001:db8::/32"], "[2001:db8:ffff::1]:5062", Verdict::Redirected)]
#[case::across_the_middle(&["2001:db8:0:0:8000::/65"], "[2001:db8::8000:0:0:1]:5062", Verdict::Redirected)]
#[case::below_the_middle(&["2001:db8:0:0:8000::/65"], "[2001:db8::7000:0:0:1]:5062", Verdict::OutOfScope)]
#[case::next_to_the_ipv6_network(&["2001:db8::/32"], "[2001:db9::1]:5062", Verdict::OutOfScope)]
#[case::ipv4_does_not_cover_ipv6(&[ALL_IPV4], "[2001:db8::1]:5062", Verdict::OutOfScope)]
fn call_is_refused_if_and_only_if_its_source_is_in_the_scope(
    #[case] sources: &[&str],
    #[case] source: &str,
    #[case] verdict: Verdict,
) {
    let destination = if source.starts_with('[') { "[2001:db8::2]:5060" } else { "198.18.0.2:5060" };
    assert_eq!(rig(&policy(sources, &[], &[])).verdict(&packet(source, destination, &new_invite())), verdict);
}

#[rstest]
#[case::address(&["198.18.0.2"], "198.18.0.2", Verdict::Redirected)]
#[case::other_address(&["198.18.0.2"], "198.18.0.4", Verdict::OutOfScope)]
#[case::port(&["198.18.0.2:5060"], "198.18.0.2", Verdict::Redirected)]
#[case::port_of_another_address(&["198.18.0.2:5060"], "198.18.0.4", Verdict::OutOfScope)]
#[case::other_port(&["198.18.0.2:5061"], "198.18.0.2", Verdict::OutOfScope)]
#[case::source_address(&["198.18.0.1"], "198.18.0.2", Verdict::OutOfScope)]
#[case::source_port(&["198.18.0.2:5062"], "198.18.0.2", Verdict::OutOfScope)]
#[case::any_port_beside_another(&["198.18.0.2", "198.18.0.2:5061"], "198.18.0.2", Verdict::Redirected)]
#[case::ipv6_address(&["2001:db8::2"], "2001:db8::2", Verdict::Redirected)]
#[case::other_ipv6_address(&["2001:db8::2"], "2001:db8::4", Verdict::OutOfScope)]
#[case::ipv6_port(&["[2001:db8::2]:5060"], "2001:db8::2", Verdict::Redirected)]
#[case::other_ipv6_port(&["[2001:db8::2]:5061"], "2001:db8::2", Verdict::OutOfScope)]
#[case::mapped(&["::ffff:198.18.0.2"], "198.18.0.2", Verdict::Redirected)]
fn call_is_refused_if_and_only_if_its_destination_is_in_the_scope(
    #[case] destinations: &[&str],
    #[case] destination: &str,
    #[case] verdict: Verdict,
) {
    let packet = if destination.contains(':') {
        packet("[2001:db8::1]:5062", &format!("[{destination}]:5060"), &new_invite())
    } else {
        packet("198.18.0.1:5062", &format!("{destination}:5060"), &new_invite())
    };
    assert_eq!(rig(&policy(&[], destinations, &[])).verdict(&packet), verdict);
}

#[test]
fn source_or_destination_in_the_scope_is_enough() {
    let mut rig = rig(&policy(&["198.18.0.1"], &["198.18.0.4"], &[]));
    for (source, destination, verdict) in [
        ("198.18.0.1:5062", "198.18.0.2:5060", Verdict::Redirected),
        ("198.18.0.3:5062", "198.18.0.4:5060", Verdict::Redirected),
        ("198.18.0.1:5063", "198.18.0.4:5060", Verdict::Redirected),
        ("198.18.0.3:5063", "198.18.0.2:5060", Verdict::OutOfScope),
    ] {
        assert_eq!(rig.verdict(&packet(source, destination, &new_invite())), verdict, "{source} to {destination}");
    }
}

#[rstest]
#[case::bypass_within_scope(&["198.18.0.0/15"], &["198.18.0.0/24"], Verdict::Bypass)]
#[case::scope_within_bypass(&["198.18.0.0/24"], &["198.18.0.0/15"], Verdict::Redirected)]
#[case::host_within_bypass(&["198.18.0.1"], &["198.18.0.0/31"], Verdict::Redirected)]
#[case::tie(&["198.18.0.0/24"], &["198.18.0.0/24"], Verdict::Bypass)]
#[case::tie_of_hosts(&["198.18.0.1/32"], &["198.18.0.1"], Verdict::Bypass)]
#[case::nested(&["198.18.0.0/15", "198.18.0.1"], &["198.18.0.0/24"], Verdict::Redirected)]
#[case::bypass_of_others(&["198.18.0.0/15"], &["198.18.0.2"], Verdict::Redirected)]
fn most_specific_prefix_of_scope_and_bypass_wins(
    #[case] sources: &[&str],
    #[case] bypass: &[&str],
    #[case] verdict: Verdict,
) {
    assert_eq!(rig(&policy(sources, &[], bypass)).verdict(&ipv4(&new_invite())), verdict);
}

#[rstest]
#[case::bypass_within_scope(&["2001:db8::/32"], &["2001:db8::/64"], Verdict::Bypass)]
#[case::scope_within_bypass(&["2001:db8::/64"], &["2001:db8::/32"], Verdict::Redirected)]
#[case::tie(&["2001:db8::/64"], &["2001:db8::/64"], Verdict::Bypass)]
fn most_specific_ipv6_prefix_of_scope_and_bypass_wins(
    #[case] sources: &[&str],
    #[case] bypass: &[&str],
    #[case] verdict: Verdict,
) {
    assert_eq!(rig(&policy(sources, &[], bypass)).verdict(&ipv6(&new_invite())), verdict);
}

#[test]
fn call_from_a_bypass_prefix_to_a_destination_in_scope_passes() {
    let mut rig = rig(&policy(&[], &["198.18.0.2", "2001:db8::2"], &[ALL_IPV4, "::/0"]));
    assert_eq!(rig.verdict(&ipv4(&new_invite())), Verdict::Bypass);
    assert_eq!(rig.verdict(&ipv6(&new_invite())), Verdict::Bypass);
}

#[test]
fn all_new_calls_are_refused_without_a_scope_and_none_with_a_scope_without_entries() {
    let mut rig = rig(&Policy::default());
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    rig.set_lists(&policy(&[], &[], &[]));
    assert_eq!(rig.verdict(&call(2)), Verdict::OutOfScope);
    assert_eq!(rig.verdict(&ipv6(&new_invite())), Verdict::OutOfScope);
    rig.set_lists(&policy(&[], &[], &["198.18.0.1"]));
    assert_eq!(rig.verdict(&call(3)), Verdict::Bypass);
    rig.set_lists(&Policy::default());
    assert_eq!(rig.verdict(&call(4)), Verdict::Redirected);
}

#[rstest]
fn scope_holds_for_other_methods(
    #[values(Method::Register, Method::Subscribe, Method::Message, Method::Publish, Method::Options)] method: Method,
) {
    let mut rig = rig(&policy(&["198.18.0.1"], &["198.18.0.4"], &[]));
    rig.set_policy(|policy| policy.methods = method.bit());
    let request = String::from_utf8(new_invite()).unwrap().replace("INVITE", method.as_str());
    let mut verdict = |source, destination| rig.verdict(&packet(source, destination, request.as_bytes()));
    assert_eq!(verdict("198.18.0.1:5062", "198.18.0.2:5060"), Verdict::RedirectedMethod);
    assert_eq!(verdict("198.18.0.3:5062", "198.18.0.4:5060"), Verdict::RedirectedMethod);
    assert_eq!(verdict("198.18.0.3:5062", "198.18.0.2:5060"), Verdict::OutOfScope);
}

#[rstest]
#[case("Priority: emergency\r\nTo: <sip:bob@b>", Verdict::Emergency)]
#[case("Replaces: a@b;to-tag=1;from-tag=2\r\nTo: <sip:bob@b>", Verdict::Replaces)]
#[case("To: <sip:bob@b>;tag=1", Verdict::InDialog)]
fn exempt_calls_and_established_calls_pass_in_scope(#[case] to: &str, #[case] verdict: Verdict) {
    assert_eq!(rig(&policy(&[ALL_IPV4], &["198.18.0.2"], &[])).verdict(&ipv4(&invite(to))), verdict);
}

#[test]
fn emergency_number_passes_in_scope() {
    let mut rig = rig(&policy(&[ALL_IPV4], &["198.18.0.2"], &[]));
    let invite = String::from_utf8(new_invite()).unwrap().replacen("sip:bob@", "sip:911@", 1);
    assert_eq!(rig.verdict(&ipv4(invite.as_bytes())), Verdict::Emergency);
}

#[test]
fn each_call_keeps_its_verdict_when_the_scope_changes() {
    let mut rig = rig(&Policy::default());
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    rig.set_lists(&policy(&["192.0.2.0/24"], &[], &[]));
    assert_eq!(rig.verdict(&call(1)), Verdict::RedirectedAgain);
    assert_eq!(rig.verdict(&call(2)), Verdict::OutOfScope);
    rig.set_lists(&policy(&["192.0.2.0/24"], &[], &["198.18.0.1"]));
    assert_eq!(rig.verdict(&call(1)), Verdict::RedirectedAgain);
    assert_eq!(rig.verdict(&call(3)), Verdict::Bypass);
    rig.set_lists(&Policy::default());
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    assert_eq!(rig.verdict(&call(2)), Verdict::Seen);
    assert_eq!(rig.verdict(&call(3)), Verdict::Seen);
}

#[test]
fn refused_call_that_passes_for_want_of_a_lease_after_the_scope_has_changed_keeps_passing() {
    let mut rig = rig(&Policy::default());
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    rig.set_lists(&policy(&["192.0.2.0/24"], &[], &[]));
    rig.expire_lease();
    assert_eq!(rig.verdict(&call(1)), Verdict::NoLease);
    rig.grant_lease();
    assert_eq!(rig.verdict(&call(1)), Verdict::Seen);
}

#[test]
fn prefix_that_moves_from_bypass_to_the_scope_and_back_counts_as_what_it_is_now() {
    let prefix = &["198.18.0.0/24"];
    let mut rig = rig(&policy(&["192.0.2.0/24"], &[], prefix));
    assert_eq!(rig.verdict(&call(1)), Verdict::Bypass);
    rig.set_lists(&policy(prefix, &[], &[]));
    assert_eq!(rig.verdict(&call(2)), Verdict::Redirected);
    rig.set_lists(&policy(prefix, &[], prefix));
    assert_eq!(rig.verdict(&call(3)), Verdict::Bypass);
    rig.set_lists(&policy(&[], &["198.18.0.4:5060"], &[]));
    assert_eq!(rig.verdict(&call(4)), Verdict::OutOfScope);
}

#[test]
fn as_many_entries_as_the_lists_may_have_are_replaced_by_as_many_others() {
    let texts = |first: u8, end: &'static str| -> Vec<String> {
        (0..8192_u32).map(|index| format!("{first}.{}.{}.{end}", index / 256, index % 256)).collect()
    };
    let full = |first| {
        let lists = [texts(first, "0/24"), texts(first + 2, "1:5060"), texts(first + 4, "0/24")];
        let [sources, destinations, bypass] =
            lists.each_ref().map(|texts| texts.iter().map(String::as_str).collect::<Vec<_>>());
        policy(&sources, &destinations, &bypass)
    };
    let mut rig = rig(&full(10));
    rig.set_lists(&full(11));
    for (source, verdict) in [
        ("10.31.255.1:5060", Verdict::OutOfScope),
        ("11.31.255.1:5060", Verdict::Redirected),
        ("14.31.255.1:5060", Verdict::OutOfScope),
        ("15.31.255.1:5060", Verdict::Bypass),
    ] {
        assert_eq!(rig.verdict(&packet(source, "198.18.0.2:5060", &new_invite())), verdict, "{source}");
    }
}
