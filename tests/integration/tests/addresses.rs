//! The addresses that are shielded: those of the host as they come and go, all, or those in prefixes.
#![cfg(test)]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use filter_common::verdict::Verdict;
use filter_lab::caller::Caller;
use filter_lab::daemon::Daemon;
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{CALLER_INTERFACE, End, Family, PROXY_INTERFACE};
use rstest::rstest;

/// Time within which an address that is added or removed must be in force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// A virtual address of the proxy's host, which the caller's host reaches by a route.
const VIP: &str = "203.0.113.9";
const VIP_IPV6: &str = "2001:db8:9::9";

/// Starts a laboratory in maintenance, with more arguments for `run`, and routes to the virtual addresses.
#[track_caller]
fn start(arguments: &[&str]) -> (Daemon, Lab) {
    let lab = Lab::new();
    for (vip, proxy) in [(VIP, End::Proxy.address(Family::V4)), (VIP_IPV6, End::Proxy.address(Family::V6))] {
        lab.outside.ip(&format!("route add {vip} via {proxy} dev {CALLER_INTERFACE}"));
    }
    let daemon = lab.filter.start(&[&["--iface", PROXY_INTERFACE], arguments].concat());
    lab.filter.run(&["on"]);
    (daemon, lab)
}

/// Returns a caller of a virtual address.
#[track_caller]
fn caller_of(lab: &Lab, vip: &str) -> Caller {
    let vip: IpAddr = vip.parse().expect("an IP address");
    let family = if vip.is_ipv4() { Family::V4 } else { Family::V6 };
    Caller::new(&lab.outside, SocketAddr::new(End::Caller.address(family), 0), SocketAddr::new(vip, 5060))
}

/// Waits until a new call is counted under `verdict`, and returns how long that took.
#[track_caller]
fn wait_for_verdict(lab: &Lab, caller: &Caller, verdict: Verdict) -> Duration {
    let start = Instant::now();
    wait::until(format_args!("a new call to be {}", verdict.name()), 3 * IN_FORCE, || {
        let before = lab.filter.stats().verdict(verdict);
        caller.send(&caller.invite().to_bytes());
        std::thread::sleep(Duration::from_millis(5));
        lab.filter.stats().verdict(verdict) > before
    });
    start.elapsed()
}

#[rstest]
#[case::on_loopback(VIP, "lo")]
#[case::on_loopback_ipv6(VIP_IPV6, "lo")]
#[case::on_the_nic(VIP, PROXY_INTERFACE)]
fn address_is_shielded_from_when_it_is_added_until_it_is_removed(#[case] vip: &str, #[case] device: &str) {
    let (_daemon, lab) = start(&[]);
    let caller = caller_of(&lab, vip);
    assert!(wait_for_verdict(&lab, &caller, Verdict::OtherAddress) < IN_FORCE);
    lab.inside.ip(&format!("address add {vip} dev {device}"));
    assert!(wait_for_verdict(&lab, &caller, Verdict::Redirected) < IN_FORCE);
    lab.expect_call_refused(&caller_of(&lab, vip));
    lab.inside.ip(&format!("address del {vip} dev {device}"));
    assert!(wait_for_verdict(&lab, &caller, Verdict::OtherAddress) < IN_FORCE);
}

#[test]
fn shielded_address_is_never_missing_while_others_come_and_go() {
    let (_daemon, lab) = start(&[]);
    let caller = lab.caller(Family::V4);
    let done = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() < done {
                for host in 1..=20 {
                    lab.inside.ip(&format!("address add 203.0.113.{host}/32 dev lo"));
                }
                lab.inside.ip("address flush dev lo to 203.0.113.0/24");
            }
        });
        while Instant::now() < done {
            lab.expect_call_refused(&caller);
        }
    });
    assert_eq!(lab.filter.stats().verdict(Verdict::OtherAddress), 0);
}

#[test]
fn all_addresses_are_shielded_on_request_also_those_of_hosts_behind() {
    let (_daemon, lab) = start(&["--address", "any"]);
    lab.expect_call_refused(&caller_of(&lab, VIP));
    lab.expect_call_refused(&caller_of(&lab, VIP_IPV6));
    lab.expect_call_refused(&lab.caller(Family::V4));
}

#[test]
fn only_prefixes_are_shielded_on_request() {
    let (_daemon, lab) = start(&["--address", "203.0.113.0/24,198.51.100.1", "--address", "2001:db8:9::/48"]);
    lab.expect_call_refused(&caller_of(&lab, VIP));
    lab.expect_call_refused(&caller_of(&lab, VIP_IPV6));
    lab.expect_call_accepted(&lab.caller(Family::V4));
    assert!(lab.filter.stats().verdict(Verdict::OtherAddress) > 0);
}

#[test]
fn values_of_address_that_contradict_each_other_are_an_error() {
    let lab = Lab::new();
    let output = lab.filter.output(&["run", "--iface", PROXY_INTERFACE, "--address", "local,any"]);
    assert_eq!(output.code, Some(2), "{output:#?}");
    assert!(output.stderr.contains("either local, or any, or prefixes"), "{output:#?}");
}
