//! Bonds: `--iface bond0` is its members, of which calls are refused on those that the kernel receives from.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::calls::{self, FAMILIES, Fate};
use super::health::{SOON, answered_on, expect_members, switch_on};
use super::links::{BOND, MEMBERS, PORTS, SWITCH, active_backup_lab, active_member, add_bond, connect, host, plug_in};
use super::stream::Stream;
use super::{Scenario, scenario};
use crate::failure::OrFail as _;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::wait;
use crate::wire::{End, Family, attached_program, link, mac, wait_until_up};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!("bond", new_calls_are_refused_and_established_ones_pass, &["veth", "igb"], MODULES),
    scenario!("bond", call_flooded_to_both_members_gets_one_response_by_the_active_one, VETH, MODULES),
    scenario!("bond", calls_are_refused_soon_after_a_failover, VETH, MODULES),
    scenario!("bond", members_that_leave_and_join_are_followed, VETH, MODULES),
    scenario!("bond", calls_on_either_member_of_an_aggregate_are_refused, VETH, MODULES),
    scenario!(
        "bond",
        stream_breaks_no_longer_at_start_and_end_than_with_the_program_on_the_active_member_alone,
        &["igb"],
        MODULES
    ),
];

const VETH: &[&str] = &["veth"];
const MODULES: &[&str] = &["bonding", "bridge"];

/// The bond of the callers' host, if there is no switch.
const OTHER_BOND: &str = "bond1";

fn new_calls_are_refused_and_established_ones_pass() {
    let lab = active_backup_lab();
    for mode in ["native", "generic"] {
        let mut daemon = lab.filter.start(&["--iface", BOND, "--mode", mode]);
        lab.filter.run(&["off"]);
        let caller = lab.caller(Family::V4);
        let mut call = lab.expect_call_accepted(&caller);
        switch_on(&lab);
        for family in FAMILIES {
            calls::expect(&lab, &lab.caller(family), Fate::Refused);
        }
        caller.reinvite(&mut call);
        expect_members(&lab, BOND, &MEMBERS);
        daemon.end(Signal::SIGTERM);
    }
}

fn call_flooded_to_both_members_gets_one_response_by_the_active_one() {
    const CALLS: u64 = 5;
    let lab = active_backup_lab();
    // Members that are named one by one are those of a bond all the same.
    for interfaces in [BOND, "nic1,nic2"] {
        let mut daemon = lab.filter.start(&["--iface", interfaces, "--mode", "native"]);
        switch_on(&lab);
        let before = lab.filter.stats().answered();
        for _ in 0..CALLS {
            let caller = lab.caller(Family::V4);
            // Until the switch has learned the bond's address anew, it floods frames to all ports.
            lab.outside.ip(&format!("link set {SWITCH} type bridge fdb_flush"));
            calls::expect(&lab, &caller, Fate::Refused);
            let second = caller.receive(Duration::from_millis(500));
            assert!(second.is_none(), "with --iface {interfaces}, the call got two responses");
            assert_eq!(learned_port(&lab), PORTS[0], "the switch has learned the bond's address there");
        }
        assert_eq!(lab.filter.stats().answered() - before, CALLS, "calls were answered by the backup too");
        daemon.end(Signal::SIGTERM);
    }
}

/// Returns the port on which the switch has learned the address of the bond.
#[track_caller]
fn learned_port(lab: &Lab) -> String {
    let address = mac(&lab.inside, BOND).map(|byte| format!("{byte:02x}")).join(":");
    let table = lab.outside.exec(&format!("bridge -j fdb show br {SWITCH}"));
    let entries: Vec<Value> = serde_json::from_str(&table).or_fail(format_args!("not the JSON of `bridge`: {table}"));
    let entry = entries.iter().find(|entry| entry["mac"] == address.as_str());
    let port = entry.and_then(|entry| entry["ifname"].as_str());
    port.or_fail(format_args!("the switch has not learned {address}: {table}")).to_owned()
}

fn calls_are_refused_soon_after_a_failover() {
    let lab = active_backup_lab();
    let _daemon = lab.filter.start(&["--iface", BOND]);
    switch_on(&lab);
    for (active, backup) in [(0, 1), (1, 0)] {
        assert_eq!(active_member(&lab.inside), MEMBERS[active]);
        let before = answered_on(&lab, MEMBERS[backup]);
        lab.outside.ip(&format!("link set {} down", PORTS[active]));
        calls::wait_for(&lab, &lab.caller(Family::V4), Fate::Refused, SOON);
        calls::expect(&lab, &lab.caller(Family::V4), Fate::Refused);
        assert_eq!(active_member(&lab.inside), MEMBERS[backup]);
        assert!(answered_on(&lab, MEMBERS[backup]) >= before + 2, "not answered by the new active member");
        lab.outside.ip(&format!("link set {} up", PORTS[active]));
        wait_until_up(&lab.inside, MEMBERS[active]);
    }
}

fn members_that_leave_and_join_are_followed() {
    let lab = active_backup_lab();
    let _daemon = lab.filter.start(&["--iface", BOND]);
    switch_on(&lab);
    let refused = || calls::expect(&lab, &lab.caller(Family::V4), Fate::Refused);
    let has_program = |member: &str| attached_program(&lab.inside, member).is_some();
    refused();

    lab.inside.ip("link set nic2 nomaster");
    wait::until("the program to leave nic2", SOON, || !has_program("nic2"));
    expect_members(&lab, BOND, &["nic1"]);
    refused();
    lab.inside.ip("link set nic2 down");
    lab.inside.ip(&format!("link set nic2 master {BOND}"));
    expect_members(&lab, BOND, &MEMBERS);
    wait::until("the program to be on nic2", SOON, || has_program("nic2"));

    plug_in(&lab.outside, "port3", &lab.inside, "nic3");
    lab.inside.ip(&format!("link set nic3 master {BOND}"));
    expect_members(&lab, BOND, &["nic1", "nic2", "nic3"]);
    wait::until("the program to be on nic3", SOON, || has_program("nic3"));
    refused();
    lab.inside.ip(&format!("link set {BOND} type bond active_slave nic3"));
    calls::wait_for(&lab, &lab.caller(Family::V4), Fate::Refused, SOON);
    refused();
    assert!(answered_on(&lab, "nic3") >= 2, "not answered by the new active member");
}

fn calls_on_either_member_of_an_aggregate_are_refused() {
    /// Calls from as many ports. The probability that the hash sends all of them over one link is 2⁻¹⁵.
    const CALLS: usize = 16;
    for options in ["mode 802.3ad lacp_rate fast miimon 100", "mode balance-xor miimon 100"] {
        let lab = aggregate_lab(&format!("{options} xmit_hash_policy layer3+4"));
        let _daemon = lab.filter.start(&["--iface", BOND]);
        switch_on(&lab);
        for _ in 0..CALLS {
            calls::expect(&lab, &lab.caller(Family::V4), Fate::Refused);
        }
        for member in MEMBERS {
            assert!(answered_on(&lab, member) > 0, "no call was refused on {member} with {options}");
        }
        assert_eq!(lab.filter.stats().answered(), CALLS as u64);
    }
}

/// Creates a laboratory whose hosts have a bond each, of two links between them.
#[track_caller]
fn aggregate_lab(options: &str) -> Lab {
    const OTHERS: [&str; 2] = ["out1", "out2"];
    let (outside, inside) = (host(), host());
    for (other, member) in OTHERS.iter().zip(MEMBERS) {
        connect(&outside, other, &inside, member);
    }
    add_bond(&outside, OTHER_BOND, options, &OTHERS, End::Caller);
    add_bond(&inside, BOND, options, &MEMBERS, End::Proxy);
    // With 802.3ad, the bonds are up before they have agreed on an aggregate.
    for (host, members) in [(&outside, OTHERS), (&inside, MEMBERS)] {
        for member in members {
            wait::until(format_args!("{member} to be active"), Duration::from_secs(20), || is_active(host, member));
        }
    }
    Lab::of_hosts(outside, inside)
}

/// Returns whether the bond of `member` receives from it.
#[track_caller]
fn is_active(host: &Namespace, member: &str) -> bool {
    link(host, member, "-d")["linkinfo"]["info_slave_data"]["state"] == "ACTIVE"
}

/// Each of these NICs loses its link for some 2 s when a program is attached or detached. While its driver resets it,
/// the kernel holds the lock that a failover needs, so that a break cannot be as short as at a failover.
fn stream_breaks_no_longer_at_start_and_end_than_with_the_program_on_the_active_member_alone() {
    /// Time that an emulated CPU may add. If both NICs had lost their link, it would be some 2 s.
    const SLACK: Duration = Duration::from_secs(1);
    let lab = active_backup_lab();
    let alone = breaks(&lab, MEMBERS[0]);
    let both = breaks(&lab, BOND);
    eprintln!("longest breaks at start and end: {alone:?} on {}, {both:?} on {BOND}", MEMBERS[0]);
    for (when, both, alone) in [("start", both[0], alone[0]), ("end", both[1], alone[1])] {
        assert!(
            both <= alone + SLACK,
            "a break of {both:?} at the {when}, and of {alone:?} on the active member alone"
        );
    }
}

/// Returns the longest breaks while a daemon starts and stops that serves `interface`, whose program is on the active
/// member at both times.
#[track_caller]
fn breaks(lab: &Lab, interface: &str) -> [Duration; 2] {
    let activate = || lab.inside.ip(&format!("link set {BOND} type bond active_slave {}", MEMBERS[0]));
    activate();
    let mut daemon = None;
    let start = longest_break(lab, || daemon = Some(lab.filter.start(&["--iface", interface])));
    for member in MEMBERS {
        wait_until_up(&lab.inside, member);
    }
    activate();
    let stop = longest_break(lab, || {
        daemon.or_fail("the daemon has started").end(Signal::SIGTERM);
        // The link that goes down last comes back after the daemon has ended.
        thread::sleep(Duration::from_secs(3));
    });
    for member in MEMBERS {
        wait_until_up(&lab.inside, member);
    }
    [start, stop]
}

/// Returns the longest time without a datagram of a stream to the proxy, during `work`.
#[track_caller]
fn longest_break(lab: &Lab, work: impl FnOnce()) -> Duration {
    let stream = Stream::start(lab);
    thread::sleep(Duration::from_millis(200));
    work();
    thread::sleep(Duration::from_millis(200));
    stream.end()
}
