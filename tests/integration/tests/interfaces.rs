//! Interfaces that change while the daemon runs: they are followed, or an alarm is raised.
#![cfg(test)]

use std::collections::BTreeSet;
use std::time::Duration;

use filter_common::verdict::Verdict;
use filter_lab::caller::Caller;
use filter_lab::daemon::Daemon;
use filter_lab::lab::Lab;
use filter_lab::request::Request;
use filter_lab::wait;
use filter_lab::wire::{CALLER_INTERFACE, Family, PROXY_INTERFACE, WireOptions};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Time within which a change must be followed.
const FOLLOWED: Duration = Duration::from_secs(3);

/// A second interface of the proxy's host.
const SECOND: &str = "nic1";

/// Adds the second interface, whose other end is in the caller's namespace.
#[track_caller]
fn add_second(lab: &Lab) {
    let outside = lab.outside.path();
    lab.inside.ip(&format!("link add {SECOND} type veth peer name wire1 netns {}", outside.display()));
    lab.inside.ip(&format!("link set {SECOND} up"));
    lab.outside.ip("link set wire1 up");
}

/// Starts a laboratory in maintenance on both interfaces.
#[track_caller]
fn start_on_both() -> (Daemon, Lab) {
    let lab = Lab::new();
    add_second(&lab);
    let daemon = lab.filter.start(&["--iface", &format!("{PROXY_INTERFACE},{SECOND}")]);
    lab.filter.run(&["on"]);
    (daemon, lab)
}

/// Returns the names of the interfaces in `status`.
fn names(status: &Value) -> Vec<&str> {
    status["interfaces"].as_array().unwrap().iter().filter_map(|interface| interface["name"].as_str()).collect()
}

#[track_caller]
fn wait_for_alarms(lab: &Lab, expected: &[&str]) {
    wait::until(format_args!("the alarms to be {expected:?}"), FOLLOWED, || lab.filter.alarms() == expected);
}

#[test]
fn renamed_interface_has_its_new_name_and_refuses_calls() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} down"));
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} name wan0"));
    lab.inside.ip("link set wan0 up");
    lab.inside.ip("-6 address add 2001:db8::2/64 dev wan0 nodad");
    lab.wait_for_status(503, &lab.caller(Family::V4), FOLLOWED);
    wait::until("the new name", FOLLOWED, || names(&lab.filter.status()) == ["wan0"]);
    assert!(lab.filter.run(&["status"]).contains("wan0"));
    assert_eq!(lab.filter.alarms(), Vec::<String>::new());
}

#[test]
fn loss_of_one_of_two_interfaces_is_an_alarm_and_does_not_end_the_other() {
    let (mut daemon, lab) = start_on_both();
    lab.inside.ip(&format!("link del {SECOND}"));
    wait_for_alarms(&lab, &["interface"]);
    let status = lab.filter.output(&["status"]);
    assert_eq!(status.code, Some(3), "{status:#?}");
    assert!(status.stdout.contains(SECOND), "{status:#?}");
    let on = lab.filter.output(&["on"]);
    assert_eq!(on.code, Some(3), "{on:#?}");
    assert!(on.stdout.contains(SECOND) || on.stderr.contains(SECOND), "{on:#?}");
    lab.expect_call_refused(&lab.caller(Family::V4));
    assert_eq!(names(&lab.filter.status()), [PROXY_INTERFACE]);

    // It is served again when it comes back, under another index.
    add_second(&lab);
    wait_for_alarms(&lab, &[]);
    assert_eq!(names(&lab.filter.status()), [PROXY_INTERFACE, SECOND]);
    assert!(daemon.is_running());
}

#[test]
fn loss_of_the_last_interface_ends_the_daemon_with_its_name() {
    let lab = Lab::new();
    let mut daemon = lab.start("native");
    lab.inside.ip(&format!("link del {PROXY_INTERFACE}"));
    wait::until("the daemon to end", FOLLOWED, || !daemon.is_running());
    assert!(daemon.log().contains(&format!("interface {PROXY_INTERFACE}: it has gone")), "{}", daemon.log());
}

#[test]
fn interface_that_moves_to_another_namespace_is_lost() {
    let (_daemon, lab) = start_on_both();
    lab.inside.ip(&format!("link set {SECOND} netns {}", lab.outside.path().display()));
    wait_for_alarms(&lab, &["interface"]);
    lab.expect_call_refused(&lab.caller(Family::V4));
}

#[test]
fn counters_add_up_after_an_interface_is_lost() {
    let lab = Lab::new();
    add_second(&lab);
    let _daemon = lab.filter.start(&["--iface", &format!("{PROXY_INTERFACE},{SECOND}")]);
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    (0..5).for_each(|_| drop(lab.expect_call_refused(&caller)));
    lab.inside.ip(&format!("link del {PROXY_INTERFACE}"));
    wait_for_alarms(&lab, &["interface"]);
    let stats = lab.filter.stats();
    assert_eq!((stats.verdict(Verdict::Redirected), stats.handled()), (5, 5), "{stats:?}");
}

#[test]
fn daemon_without_free_descriptors_goes_on_with_an_alarm() {
    let lab = Lab::new();
    let mut daemon = lab.start("native");
    lab.filter.run(&["on"]);
    let pid = daemon.pid().to_string();
    let limit = |soft: &str| lab.inside.exec(&format!("prlimit --pid {pid} --nofile={soft}:"));
    limit("3");
    // Long enough for several looks at the network.
    std::thread::sleep(Duration::from_secs(3));
    assert!(daemon.is_running(), "{}", daemon.log());
    lab.expect_call_refused(&lab.caller(Family::V4));
    limit("1024");
    wait_for_alarms(&lab, &[]);
    assert!(daemon.log().contains("cannot read the interfaces and addresses"), "{}", daemon.log());
    assert_eq!(daemon.end(Signal::SIGTERM).code(), Some(0));
}

#[test]
fn queues_that_are_added_while_it_runs_get_responders() {
    let lab = Lab::with_wire(WireOptions { queues: 4, ..WireOptions::default() });
    // A veth takes the program in its driver only if it has a queue for each from which its peer sends.
    lab.outside.exec(&format!("ethtool -L {CALLER_INTERFACE} rx 4 tx 2"));
    lab.inside.exec(&format!("ethtool -L {PROXY_INTERFACE} rx 2 tx 4"));
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    let queues = || lab.filter.status()["interfaces"][0]["queues"].as_array().map(Vec::len);
    assert_eq!(queues(), Some(2));
    lab.inside.exec(&format!("ethtool -L {PROXY_INTERFACE} rx 4 tx 4"));
    wait::until("four responders", FOLLOWED, || queues() == Some(4));
    assert_eq!(lab.filter.alarms(), Vec::<String>::new());
}

#[test]
fn interface_that_is_not_ethernet_is_rejected_with_a_sentence() {
    let lab = Lab::new();
    lab.inside.ip("tuntap add tun7 mode tun");
    let output = lab.filter.output(&["run", "--iface", "tun7"]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stderr.contains("interface tun7 is not Ethernet"), "{output:#?}");
    let doctor = lab.filter.output(&["doctor", "--iface", "tun7"]);
    assert!(doctor.stdout.contains("is not Ethernet"), "{doctor:#?}");
}

/// Returns a new INVITE of 720 bytes, two of which are no longer than a packet.
#[track_caller]
fn invite_of_720_bytes(caller: &Caller) -> Request {
    let mut invite = caller.invite();
    invite.headers.retain(|(name, _)| name != "Content-Type");
    invite.body.clear();
    invite.set("Subject", "");
    let missing = 720 - invite.to_bytes().len();
    invite.set("Subject", &"x".repeat(missing));
    invite
}

#[test]
fn burst_that_the_sender_merges_loses_no_call() {
    let lab = Lab::new();
    // The kernel keeps the burst in one packet until the program sees it.
    lab.outside.exec(&format!("ethtool -K {CALLER_INTERFACE} tx on tx-udp-segmentation on"));
    let _daemon = lab.start("generic");
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    for calls in [2, 8, 40] {
        let invites: Vec<Request> = (0..calls).map(|_| invite_of_720_bytes(&caller)).collect();
        caller.send_burst(&invites);
        let mut missing: BTreeSet<&str> = invites.iter().map(|invite| invite.header("Call-ID")).collect();
        while let Some(response) = caller.receive(Duration::from_secs(1)).filter(|_| !missing.is_empty()) {
            missing.remove(response.header("Call-ID").unwrap_or_default());
        }
        assert!(missing.is_empty(), "{} of {calls} calls in a burst got no response", missing.len());
    }
    assert!(lab.filter.stats().verdict(Verdict::Merged) > 0);
}
