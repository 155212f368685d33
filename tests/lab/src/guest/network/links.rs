//! Links between hosts, and what is built of them: switches and bonds.

use std::process::Command;

use crate::failure::OrFail as _;
use crate::guest::nics;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::process;
use crate::wire::{CALLER_INTERFACE, End, Family, link, silence_ipv6, wait_until_up};

/// The bond of the proxy's host.
pub(super) const BOND: &str = "bond0";
/// The members of the bond, in the order in which they became members.
pub(super) const MEMBERS: [&str; 2] = ["nic1", "nic2"];
/// The switch: a bridge on the callers' host.
pub(super) const SWITCH: &str = "switch0";
/// The ports of the switch to which the members are connected.
pub(super) const PORTS: [&str; 2] = ["port1", "port2"];

/// Creates a host whose IPv6 sends nothing unasked.
#[track_caller]
pub(super) fn host() -> Namespace {
    let host = Namespace::new();
    silence_ipv6(&host);
    host
}

/// Connects `interface` of a host to `other_interface` of another by a veth pair, both down.
#[track_caller]
pub(super) fn connect(host: &Namespace, interface: &str, other: &Namespace, other_interface: &str) {
    host.ip(&format!("link add {interface} type veth peer name {other_interface} netns {}", other.path().display()));
    for (host, interface) in [(host, interface), (other, other_interface)] {
        // Without tx off, a veth sends partial checksums, which no real wire carries.
        host.exec(&format!("ethtool -K {interface} tx off gro on"));
    }
}

/// Gives an interface the addresses of `end`, and sets it up.
#[track_caller]
pub(super) fn set_up(host: &Namespace, interface: &str, end: End) {
    host.ip(&format!("address add {}/24 dev {interface}", end.address(Family::V4)));
    host.ip(&format!("-6 address add {}/64 dev {interface} nodad", end.address(Family::V6)));
    host.ip(&format!("link set {interface} up"));
}

/// Creates the switch on the callers' host, with the callers' addresses.
#[track_caller]
pub(super) fn add_switch(outside: &Namespace) {
    outside.ip(&format!("link add {SWITCH} type bridge stp_state 0 mcast_snooping 0"));
    set_up(outside, SWITCH, End::Caller);
}

/// Connects `interface` of the proxy's host to a new port of the switch.
#[track_caller]
pub(super) fn plug_in(outside: &Namespace, port: &str, inside: &Namespace, interface: &str) {
    connect(outside, port, inside, interface);
    outside.ip(&format!("link set {port} master {SWITCH} up"));
}

/// Creates a bond of interfaces that are down, with the addresses of `end`.
#[track_caller]
pub(super) fn add_bond(host: &Namespace, bond: &str, options: &str, members: &[&str], end: End) {
    host.ip(&format!("link add {bond} type bond {options}"));
    for member in members {
        host.ip(&format!("link set {member} master {bond}"));
    }
    set_up(host, bond, end);
}

/// Creates a laboratory whose proxy's host has an active-backup bond, of two links to a switch or of two NICs.
///
/// The machine's NICs are on one hub, which floods every frame to both members, as a switch may.
#[track_caller]
pub(super) fn active_backup_lab() -> Lab {
    let (outside, inside) = (host(), host());
    if nics::count() == 0 {
        add_switch(&outside);
        for (port, member) in PORTS.iter().zip(MEMBERS) {
            plug_in(&outside, port, &inside, member);
        }
    } else {
        let nics = nics::all();
        for (nic, (host, name)) in
            nics.iter().zip([(&outside, CALLER_INTERFACE), (&inside, MEMBERS[0]), (&inside, MEMBERS[1])])
        {
            let mut ip = Command::new("ip");
            process::stdout(ip.args(["link", "set", nic, "netns"]).arg(host.path()).args(["name", name]));
        }
        set_up(&outside, CALLER_INTERFACE, End::Caller);
    }
    add_bond(&inside, BOND, "mode active-backup miimon 100", &MEMBERS, End::Proxy);
    for interface in MEMBERS.into_iter().chain([BOND]) {
        wait_until_up(&inside, interface);
    }
    Lab::of_hosts(outside, inside)
}

/// Returns the active member of the bond, as the kernel has it.
#[track_caller]
pub(super) fn active_member(inside: &Namespace) -> String {
    let bond = link(inside, BOND, "-d");
    let active = bond["linkinfo"]["info_data"]["active_slave"].as_str();
    active.or_fail(format_args!("no active member in {bond}")).to_owned()
}
