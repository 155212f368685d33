//! VLAN devices on the shielded interface. A call whose tag the program cannot see has to pass: its 503 would leave
//! untagged, and never arrive.

use std::net::IpAddr;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::calls::{self, FAMILIES, Fate};
use super::health::{SOON, expect_alarm, expect_no_alarm, switch_on};
use super::links::{BOND, MEMBERS, SWITCH, active_backup_lab};
use super::{Scenario, lab, scenario};
use crate::caller::Caller;
use crate::frame::DOT1Q;
use crate::guest::nics;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::sip_server::PORT;
use crate::wire::{CALLER_INTERFACE, End, Family, PROXY_INTERFACE, mac};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!("vlan", call_whose_tag_the_nic_removes_passes, &["igb"], MODULES),
    scenario!("vlan", tags_that_the_nic_removes_are_an_alarm_until_rxvlan_is_off, &["igb"], MODULES),
    scenario!("vlan", call_whose_tag_is_in_the_frame_is_refused_with_the_tag, &["igb"], MODULES),
    scenario!("vlan", call_on_veth_passes_whatever_ethtool_says, &["veth"], MODULES),
    scenario!("vlan", frame_of_a_vlan_without_a_device_is_not_answered, &["veth", "igb"], MODULES),
    scenario!("vlan", no_call_on_a_vlan_of_a_bond_vanishes, &["veth", "igb"], BOND_MODULES),
    scenario!("vlan", call_on_a_vlan_device_of_a_bond_that_is_named_is_refused, &["veth", "igb"], BOND_MODULES),
    scenario!("vlan", call_on_a_vlan_of_a_bond_is_refused_with_the_tag_if_the_members_leave_it, &["igb"], BOND_MODULES),
];

const MODULES: &[&str] = &["8021q"];
const BOND_MODULES: &[&str] = &["8021q", "bonding", "bridge"];

/// The VLAN that both hosts have a device of.
const ID: u16 = 100;

/// Returns the address of `end` in the VLAN.
fn address(end: End, family: Family) -> IpAddr {
    let host = match end {
        End::Caller => 1,
        End::Proxy => 2,
    };
    match family {
        Family::V4 => [198, 18, 100, host].into(),
        Family::V6 => [0x2001, 0xdb8, 0x64, 0, 0, 0, 0, u16::from(host)].into(),
    }
}

/// Creates the VLAN device `PARENT.100` of `host` in the namespace `inside`, at `end` of the VLAN.
#[track_caller]
fn add_device(host: &Namespace, inside: &Namespace, parent: &str, end: End, queues: u32) {
    let queues = format!("numrxqueues {queues} numtxqueues {queues}");
    host.ip(&format!("link add link {parent} name {parent}.{ID} {queues} type vlan id {ID}"));
    host.ip(&format!("link set {parent}.{ID} netns {}", inside.path().display()));
    inside.ip(&format!("address add {}/24 dev {parent}.{ID}", address(end, Family::V4)));
    inside.ip(&format!("-6 address add {}/64 dev {parent}.{ID} nodad", address(end, Family::V6)));
    inside.ip(&format!("link set {parent}.{ID} up"));
}

/// A VLAN from a host of its own to the proxy's.
pub(super) struct Vlan {
    /// The host of the callers in the VLAN, which gets nothing without a tag.
    callers: Namespace,
}

impl Vlan {
    /// Creates the VLAN over `outer` of the callers' host and `inner` of the proxy's.
    #[track_caller]
    pub(super) fn over(lab: &Lab, outer: &str, inner: &str) -> Self {
        Self::create(lab, outer, inner, 1)
    }

    /// Creates the VLAN over the wire, with devices that have `queues` queues each.
    #[track_caller]
    pub(super) fn over_queues(lab: &Lab, queues: u32) -> Self {
        Self::create(lab, CALLER_INTERFACE, PROXY_INTERFACE, queues)
    }

    #[track_caller]
    fn create(lab: &Lab, outer: &str, inner: &str, queues: u32) -> Self {
        let callers = Namespace::new();
        add_device(&lab.outside, &callers, outer, End::Caller, queues);
        add_device(&lab.inside, &lab.inside, inner, End::Proxy, queues);
        Self { callers }
    }

    /// Creates a caller in the VLAN, which calls the proxy's address there.
    #[track_caller]
    pub(super) fn caller(&self, family: Family) -> Caller {
        let [caller, proxy] = [End::Caller, End::Proxy].map(|end| address(end, family));
        Caller::new(&self.callers, (caller, 0).into(), (proxy, PORT).into())
    }
}

/// Creates a laboratory with a VLAN over its wire.
#[track_caller]
fn vlan_lab() -> (Lab, Vlan) {
    let lab = lab();
    let vlan = Vlan::over(&lab, CALLER_INTERFACE, PROXY_INTERFACE);
    (lab, vlan)
}

/// Creates a laboratory with a VLAN over a bond of the proxy's host.
#[track_caller]
fn bond_lab() -> (Lab, Vlan) {
    let lab = active_backup_lab();
    let outer = if nics::count() == 0 { SWITCH } else { CALLER_INTERFACE };
    let vlan = Vlan::over(&lab, outer, BOND);
    (lab, vlan)
}

/// Makes the NIC leave tags in the frame, or remove them.
#[track_caller]
fn set_rxvlan(lab: &Lab, state: &str) {
    lab.inside.exec(&format!("ethtool -K {PROXY_INTERFACE} rxvlan {state}"));
}

fn call_whose_tag_the_nic_removes_passes() {
    let (lab, vlan) = vlan_lab();
    for mode in ["native", "generic"] {
        let mut daemon = lab.start(mode);
        switch_on(&lab);
        for family in FAMILIES {
            calls::expect(&lab, &vlan.caller(family), Fate::Passed);
            calls::expect(&lab, &lab.caller(family), Fate::Refused);
        }
        assert!(lab.filter.stats().count("vlan_stripped") >= 2, "{:?}", lab.filter.stats().nonzero_verdicts());
        daemon.end(Signal::SIGTERM);
    }
}

fn tags_that_the_nic_removes_are_an_alarm_until_rxvlan_is_off() {
    let (lab, vlan) = vlan_lab();
    let _daemon = lab.start("native");
    switch_on(&lab);
    calls::expect(&lab, &vlan.caller(Family::V4), Fate::Passed);
    expect_alarm(&lab, &[PROXY_INTERFACE, &format!("ethtool -K {PROXY_INTERFACE} rxvlan off")]);
    set_rxvlan(&lab, "off");
    expect_no_alarm(&lab, &["rxvlan"]);
    calls::expect(&lab, &vlan.caller(Family::V4), Fate::Refused);
}

fn call_whose_tag_is_in_the_frame_is_refused_with_the_tag() {
    let (lab, vlan) = vlan_lab();
    for mode in ["native", "generic"] {
        set_rxvlan(&lab, "on");
        let mut daemon = lab.start(mode);
        switch_on(&lab);
        // Switched off while it runs.
        set_rxvlan(&lab, "off");
        for family in FAMILIES {
            let caller = vlan.caller(family);
            calls::wait_for(&lab, &caller, Fate::Refused, SOON);
            let wire = lab.packet_socket();
            calls::expect(&lab, &caller, Fate::Refused);
            let response = wire.receive_packet(SOON, |packet| packet.payload.starts_with(b"SIP/2.0 503"));
            assert_eq!(response.map(|packet| packet.tags), Some(vec![(DOT1Q, ID)]), "the tags of the 503");
            calls::expect(&lab, &lab.caller(family), Fate::Refused);
        }
        daemon.end(Signal::SIGTERM);
    }
}

fn call_on_veth_passes_whatever_ethtool_says() {
    let (lab, vlan) = vlan_lab();
    let _daemon = lab.start("native");
    switch_on(&lab);
    for state in ["on", "off"] {
        set_rxvlan(&lab, state);
        for family in FAMILIES {
            calls::expect(&lab, &vlan.caller(family), Fate::Passed);
            calls::expect(&lab, &lab.caller(family), Fate::Refused);
        }
    }
    assert!(lab.filter.stats().count("vlan_stripped") >= 4, "{:?}", lab.filter.stats().nonzero_verdicts());
    expect_alarm(&lab, &[PROXY_INTERFACE]);
}

fn frame_of_a_vlan_without_a_device_is_not_answered() {
    const FOREIGN: u16 = 777;
    let (lab, _vlan) = vlan_lab();
    set_rxvlan(&lab, "off");
    // As by tcpdump: without it, a NIC that filters by VLAN (igb) drops the frames.
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} promisc on"));
    lab.outside.ip(&format!("link set {CALLER_INTERFACE} promisc on"));
    let _daemon = lab.start("native");
    switch_on(&lab);
    let wire = lab.packet_socket();
    for proxy in [End::Proxy.address(Family::V4), address(End::Proxy, Family::V4)] {
        let mut frame = calls::invite_frame(&lab, mac(&lab.inside, PROXY_INTERFACE), (proxy, PORT).into());
        frame.tags.push((DOT1Q, FOREIGN));
        wire.send(&frame.to_bytes());
    }
    let response = wire.receive_packet(Duration::from_secs(1), |packet| packet.payload.starts_with(b"SIP/2.0"));
    let source = response.map(|packet| packet.source);
    assert_eq!(source, None, "a call of another host's VLAN was answered");
    assert_eq!(lab.filter.stats().count("other_host"), 2, "{:?}", lab.filter.stats().nonzero_verdicts());
}

fn no_call_on_a_vlan_of_a_bond_vanishes() {
    let (lab, vlan) = bond_lab();
    for mode in ["native", "generic"] {
        let mut daemon = lab.filter.start(&["--iface", BOND, "--mode", mode]);
        switch_on(&lab);
        for family in FAMILIES {
            calls::expect(&lab, &vlan.caller(family), Fate::Passed);
            calls::expect(&lab, &lab.caller(family), Fate::Refused);
        }
        // On virtual members there are no offloads that would help.
        let remedy = if nics::count() == 0 { "name the VLAN device itself with --iface" } else { "rxvlan off" };
        expect_alarm(&lab, &[MEMBERS[0], remedy]);
        daemon.end(Signal::SIGTERM);
    }
}

/// The remedy of the alarm for virtual members. The device has no driver that could run the program.
fn call_on_a_vlan_device_of_a_bond_that_is_named_is_refused() {
    let (lab, vlan) = bond_lab();
    let _daemon = lab.filter.start(&["--iface", &format!("{BOND}.{ID}")]);
    switch_on(&lab);
    for family in FAMILIES {
        calls::expect(&lab, &vlan.caller(family), Fate::Refused);
        calls::expect(&lab, &lab.caller(family), Fate::Passed);
    }
}

fn call_on_a_vlan_of_a_bond_is_refused_with_the_tag_if_the_members_leave_it() {
    let (lab, vlan) = bond_lab();
    for member in MEMBERS {
        lab.inside.exec(&format!("ethtool -K {member} rxvlan off"));
    }
    for mode in ["native", "generic"] {
        let mut daemon = lab.filter.start(&["--iface", BOND, "--mode", mode]);
        switch_on(&lab);
        for family in FAMILIES {
            calls::expect(&lab, &vlan.caller(family), Fate::Refused);
            calls::expect(&lab, &lab.caller(family), Fate::Refused);
        }
        expect_no_alarm(&lab, &["rxvlan"]);
        daemon.end(Signal::SIGTERM);
    }
}
