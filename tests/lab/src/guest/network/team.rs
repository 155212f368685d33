//! Teams: `--iface team0` is its ports, as a bond is its members.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::calls::{self, FAMILIES, Fate};
use super::health::{SOON, answered_on, expect_members, switch_on};
use super::links::{MEMBERS, PORTS, SWITCH, add_switch, host, plug_in, set_up};
use super::{Scenario, scenario};
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::wire::{End, Family, link, mac};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!("team", calls_are_refused_on_the_active_port, &["veth"], MODULES),
    scenario!("team", calls_are_refused_soon_after_a_failover, &["veth"], MODULES),
];

const MODULES: &[&str] = &["team", "team_mode_activebackup", "bridge"];

const TEAM: &str = "team0";

fn calls_are_refused_on_the_active_port() {
    const CALLS: u64 = 5;
    let lab = team_lab();
    for mode in ["native", "generic"] {
        let mut daemon = lab.filter.start(&["--iface", TEAM, "--mode", mode]);
        switch_on(&lab);
        for family in FAMILIES {
            calls::expect(&lab, &lab.caller(family), Fate::Refused);
        }
        expect_members(&lab, TEAM, &MEMBERS);
        assert_eq!(answered_on(&lab, MEMBERS[0]), 2, "not answered by the active port");
        for _ in 0..CALLS {
            let caller = lab.caller(Family::V4);
            // Until the switch has learned the team's address anew, it floods frames to all ports.
            lab.outside.ip(&format!("link set {SWITCH} type bridge fdb_flush"));
            calls::expect(&lab, &caller, Fate::Refused);
            assert!(caller.receive(Duration::from_millis(500)).is_none(), "the call got two responses");
        }
        assert_eq!(lab.filter.stats().answered(), 2 + CALLS, "calls were answered by the backup too");
        daemon.end(Signal::SIGTERM);
    }
}

fn calls_are_refused_soon_after_a_failover() {
    let lab = team_lab();
    let _daemon = lab.filter.start(&["--iface", TEAM]);
    switch_on(&lab);
    calls::expect(&lab, &lab.caller(Family::V4), Fate::Refused);
    lab.outside.ip(&format!("link set {} down", PORTS[0]));
    activate(&lab.inside, MEMBERS[1]);
    calls::wait_for(&lab, &lab.caller(Family::V4), Fate::Refused, SOON);
    calls::expect(&lab, &lab.caller(Family::V4), Fate::Refused);
    assert!(answered_on(&lab, MEMBERS[1]) >= 2, "not answered by the new active port");
}

#[track_caller]
fn team_lab() -> Lab {
    let (outside, inside) = (host(), host());
    add_switch(&outside);
    inside.ip(&format!("link add {TEAM} type team"));
    inside.exec(&format!("teamnl {TEAM} setoption mode activebackup"));
    for (port, member) in PORTS.iter().zip(MEMBERS) {
        plug_in(&outside, port, &inside, member);
        inside.ip(&format!("link set {member} master {TEAM}"));
    }
    // teamd gives all ports the address of the team (`hwaddr_policy`).
    let address = mac(&inside, TEAM).map(|byte| format!("{byte:02x}")).join(":");
    for member in MEMBERS {
        inside.ip(&format!("link set {member} address {address} up"));
    }
    set_up(&inside, TEAM, End::Proxy);
    activate(&inside, MEMBERS[0]);
    let lab = Lab::of_hosts(outside, inside);
    lab.expect_call_accepted(&lab.caller(Family::V4));
    lab
}

/// Makes a port the active one, as teamd does at a failover.
#[track_caller]
fn activate(inside: &Namespace, port: &str) {
    let index = &link(inside, port, "")["ifindex"];
    inside.exec(&format!("teamnl {TEAM} setoption activeport {index}"));
}
