//! Calls that the shielded interface receives for others: they must pass, and nobody is answered in another's name.

use std::net::IpAddr;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::calls::{self, FAMILIES, Fate, fate};
use super::health::switch_on;
use super::links::{connect, host, set_up};
use super::{Scenario, scenario};
use crate::caller::Caller;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::sip_server::{PORT, SipServer};
use crate::wire::{End, Family, PROXY_INTERFACE};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!("other_hosts", calls_for_a_guest_behind_a_bridge_pass, VETH, &["bridge"]),
    scenario!("other_hosts", calls_for_a_network_behind_the_host_pass, VETH, &[]),
    scenario!("other_hosts", calls_for_a_container_on_a_macvlan_pass, VETH, &["macvlan"]),
    scenario!("other_hosts", calls_for_a_container_on_an_ipvlan_pass, VETH, &["ipvlan"]),
    scenario!("other_hosts", frame_for_a_foreign_mac_address_is_not_answered, &["veth", "igb"], &[]),
    scenario!("other_hosts", calls_to_a_virtual_mac_address_of_this_host_are_refused, VETH, &["macvlan"]),
];

const VETH: &[&str] = &["veth"];

/// Interface of a guest or a container.
const GUEST_INTERFACE: &str = "eth0";

/// A SIP server on a host that shares the proxy's interface, or is behind it.
struct Guest {
    host: Namespace,
    server: SipServer,
}

impl Guest {
    fn new() -> Self {
        let host = host();
        let server = SipServer::start(&host, PORT);
        Self { host, server }
    }

    /// Sets the guest's interface up with its addresses.
    #[track_caller]
    fn set_up(&self) {
        for family in FAMILIES {
            let (address, length) = (guest_address(family), prefix_length(family));
            self.host.ip(&format!("address add {address}/{length} dev {GUEST_INTERFACE}{}", nodad(family)));
        }
        self.host.ip(&format!("link set {GUEST_INTERFACE} up"));
    }

    /// Creates a device on the proxy's interface, and moves it to the guest.
    #[track_caller]
    fn stack(&self, lab: &Lab, kind: &str) {
        lab.inside.ip(&format!("link add link {PROXY_INTERFACE} name {GUEST_INTERFACE} type {kind}"));
        lab.inside.ip(&format!("link set {GUEST_INTERFACE} netns {}", self.host.path().display()));
        self.set_up();
    }
}

/// Returns the address of a guest in the network of the wire.
fn guest_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => [198, 18, 0, 50].into(),
        Family::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x50].into(),
    }
}

const fn prefix_length(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}

/// Returns the word with which `ip address add` skips the detection of duplicates.
const fn nodad(family: Family) -> &'static str {
    match family {
        Family::V4 => "",
        Family::V6 => " nodad",
    }
}

/// Asserts that the guest gets the calls to its `address`, and that the host's own calls are refused, in each mode.
#[track_caller]
fn assert_only_own_calls_are_refused(lab: &Lab, guest: &Guest, address: fn(Family) -> IpAddr, verdicts: &[&str]) {
    let expect_call_of_guest = |when: &str, family| {
        let caller = (End::Caller.address(family), 0).into();
        let caller = Caller::new(&lab.outside, caller, (address(family), PORT).into());
        let fate = fate(&guest.server, &caller);
        assert!(fate == Fate::Passed, "a call for the guest is {fate:?} {when}");
    };
    for family in FAMILIES {
        expect_call_of_guest("without a daemon", family);
    }
    for mode in ["native", "generic"] {
        let mut daemon = lab.start(mode);
        switch_on(lab);
        for family in FAMILIES {
            expect_call_of_guest(&format!("in {mode} mode"), family);
            calls::expect(lab, &lab.caller(family), Fate::Refused);
        }
        let stats = lab.filter.stats();
        let passed: u64 = verdicts.iter().map(|verdict| stats.count(verdict)).sum();
        assert!(passed >= 2, "not counted under {verdicts:?}: {:?}", stats.nonzero_verdicts());
        daemon.end(Signal::SIGTERM);
    }
}

fn calls_for_a_guest_behind_a_bridge_pass() {
    let (lab, guest) = (Lab::new(), Guest::new());
    lab.inside.ip(&format!("address flush dev {PROXY_INTERFACE}"));
    lab.inside.ip("link add br0 type bridge stp_state 0 mcast_snooping 0");
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} master br0"));
    connect(&lab.inside, "guest0", &guest.host, GUEST_INTERFACE);
    lab.inside.ip("link set guest0 master br0 up");
    set_up(&lab.inside, "br0", End::Proxy);
    guest.set_up();
    assert_only_own_calls_are_refused(&lab, &guest, guest_address, &["other_host"]);
}

fn calls_for_a_network_behind_the_host_pass() {
    /// Returns an address in that network: 1 for the host, 2 for the guest.
    fn address_of(family: Family, host: u8) -> IpAddr {
        match family {
            Family::V4 => [203, 0, 113, host].into(),
            Family::V6 => [0x2001, 0xdb8, 0x113, 0, 0, 0, 0, u16::from(host)].into(),
        }
    }
    let (lab, guest) = (Lab::new(), Guest::new());
    connect(&lab.inside, "lan0", &guest.host, GUEST_INTERFACE);
    for family in FAMILIES {
        let (router, address, length) = (address_of(family, 1), address_of(family, 2), prefix_length(family));
        lab.inside.ip(&format!("address add {router}/{length} dev lan0{}", nodad(family)));
        guest.host.ip(&format!("address add {address}/{length} dev {GUEST_INTERFACE}{}", nodad(family)));
    }
    lab.inside.ip("link set lan0 up");
    guest.host.ip(&format!("link set {GUEST_INTERFACE} up"));
    for family in FAMILIES {
        guest.host.ip(&format!("route add {} via {}", End::Caller.address(family), address_of(family, 1)));
        lab.outside.ip(&format!("route add {} via {}", address_of(family, 2), End::Proxy.address(family)));
    }
    lab.inside.set_sysctl("net/ipv4/ip_forward", "1");
    lab.inside.set_sysctl("net/ipv6/conf/all/forwarding", "1");
    assert_only_own_calls_are_refused(&lab, &guest, |family| address_of(family, 2), &["other_address"]);
}

fn calls_for_a_container_on_a_macvlan_pass() {
    let (lab, guest) = (Lab::new(), Guest::new());
    guest.stack(&lab, "macvlan mode bridge");
    // Its MAC address is one that the interface receives for, but its address is not this host's.
    assert_only_own_calls_are_refused(&lab, &guest, guest_address, &["other_host", "other_address"]);
}

fn calls_for_a_container_on_an_ipvlan_pass() {
    let (lab, guest) = (Lab::new(), Guest::new());
    guest.stack(&lab, "ipvlan mode l2");
    assert_only_own_calls_are_refused(&lab, &guest, guest_address, &["other_address"]);
}

fn frame_for_a_foreign_mac_address_is_not_answered() {
    const FOREIGN: [u8; 6] = [2, 0, 0, 0, 0, 0x99];
    let lab = super::lab();
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} promisc on"));
    let _daemon = lab.start("native");
    switch_on(&lab);
    let wire = lab.packet_socket();
    wire.send(&calls::invite_frame(&lab, FOREIGN, lab.proxy(Family::V4)).to_bytes());
    let response = wire.receive_packet(Duration::from_secs(1), |packet| packet.payload.starts_with(b"SIP/2.0"));
    let source = response.map(|packet| packet.source);
    assert_eq!(source, None, "a frame for another host was answered");
    assert_eq!(lab.filter.stats().count("other_host"), 1, "{:?}", lab.filter.stats().nonzero_verdicts());
}

/// As keepalived does with `use_vmac`.
fn calls_to_a_virtual_mac_address_of_this_host_are_refused() {
    const VIRTUAL: &str = "00:00:5e:00:01:0a";
    let lab = Lab::new();
    lab.inside.ip(&format!("link add link {PROXY_INTERFACE} name vrrp0 address {VIRTUAL} type macvlan mode private"));
    lab.inside.ip("link set vrrp0 up");
    for family in FAMILIES {
        let address = guest_address(family);
        let length = if family == Family::V4 { 32 } else { 128 };
        lab.inside.ip(&format!("address add {address}/{length} dev vrrp0{}", nodad(family)));
        // The host would answer ARP requests for this address on both devices.
        lab.outside.ip(&format!("neigh replace {address} lladdr {VIRTUAL} dev wire0 nud permanent"));
    }
    for mode in ["native", "generic"] {
        let mut daemon = lab.start(mode);
        switch_on(&lab);
        for family in FAMILIES {
            let caller = (End::Caller.address(family), 0).into();
            let caller = Caller::new(&lab.outside, caller, (guest_address(family), PORT).into());
            calls::expect(&lab, &caller, Fate::Refused);
            calls::expect(&lab, &lab.caller(family), Fate::Refused);
        }
        daemon.end(Signal::SIGTERM);
    }
}
