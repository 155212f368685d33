//! The wire: a veth pair between the caller's namespace and the proxy's, with addresses, ready for packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::failure::OrFail as _;
use crate::namespace::Namespace;
use crate::{process, wait};

/// The caller's end of the wire.
pub const CALLER_INTERFACE: &str = "wire0";
/// The proxy's end of the wire: the NIC to which the filter is attached.
pub const PROXY_INTERFACE: &str = "nic0";

/// An IP version, for tests that run with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// An end of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end of the callers.
    Caller,
    /// The end of the proxy and the filter.
    Proxy,
}

impl End {
    /// Returns the address of this end, from the ranges for benchmarks (RFC 2544) and documentation (RFC 3849).
    pub const fn address(self, family: Family) -> IpAddr {
        match (self, family) {
            (Self::Caller, Family::V4) => IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
            (Self::Proxy, Family::V4) => IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2)),
            (Self::Caller, Family::V6) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            (Self::Proxy, Family::V6) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
        }
    }

    /// Returns the Ethernet address of this end: locally administered, and equal in all laboratories.
    pub const fn mac(self) -> [u8; 6] {
        match self {
            Self::Caller => [0x02, 0, 0, 0, 0, 1],
            Self::Proxy => [0x02, 0, 0, 0, 0, 2],
        }
    }

    /// Returns the name of the interface.
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Caller => CALLER_INTERFACE,
            Self::Proxy => PROXY_INTERFACE,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Caller => Self::Proxy,
            Self::Proxy => Self::Caller,
        }
    }
}

/// Properties of a wire.
#[derive(Clone, Copy, Debug)]
pub struct WireOptions {
    /// Number of RX and of TX queues at each end.
    pub queues: u32,
    /// MTU at both ends.
    pub mtu: u32,
    /// Carries only what the test sends: with fixed neighbours instead of ARP, and without IPv6.
    pub quiet: bool,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self { queues: 1, mtu: 1500, quiet: false }
    }
}

/// Connects `caller` and `proxy` with a wire and waits until both ends are usable.
///
/// # Panics
///
/// Panics if `ip` or `ethtool` fails, or an end does not come up.
#[track_caller]
pub fn connect(caller: &Namespace, proxy: &Namespace, options: WireOptions) {
    for namespace in [caller, proxy] {
        silence_ipv6(namespace);
        if options.quiet {
            disable_ipv6(namespace);
        }
    }
    let WireOptions { queues, mtu, .. } = options;
    let end = format!("mtu {mtu} numrxqueues {queues} numtxqueues {queues}");
    caller.ip(&format!(
        "link add {CALLER_INTERFACE} address {} {end} type veth peer name {PROXY_INTERFACE} address {} {end} netns {}",
        mac_text(End::Caller.mac()),
        mac_text(End::Proxy.mac()),
        proxy.path().display(),
    ));
    // The filter's responses are sent into the caller's end, which takes XDP frames only with NAPI.
    caller.exec(&format!("ethtool -K {CALLER_INTERFACE} gro on"));
    for (namespace, end) in [(caller, End::Caller), (proxy, End::Proxy)] {
        // Without this, a veth sends partial checksums, which no real wire carries.
        namespace.exec(&format!("ethtool -K {} tx off", end.interface()));
    }
    set_up_both(caller, proxy, options);
}

/// Connects `caller` and `proxy` with two NICs of this host that are wired to each other: the caller's and the proxy's.
///
/// The NICs move into the namespaces. They return, with the names that they have there, when the namespaces end.
///
/// # Panics
///
/// Panics if `ip` fails, or an end does not come up.
#[track_caller]
pub fn connect_nics(caller: &Namespace, proxy: &Namespace, nics: [&str; 2]) {
    let options = WireOptions::default();
    for (namespace, nic, end) in [(caller, nics[0], End::Caller), (proxy, nics[1], End::Proxy)] {
        silence_ipv6(namespace);
        let mut ip = Command::new("ip");
        ip.args(["link", "set", nic, "netns"]).arg(namespace.path()).args(["name", end.interface()]);
        process::stdout(&mut ip);
    }
    set_up_both(caller, proxy, options);
}

#[track_caller]
fn set_up_both(caller: &Namespace, proxy: &Namespace, options: WireOptions) {
    for (namespace, end) in [(caller, End::Caller), (proxy, End::Proxy)] {
        set_up(namespace, end, options);
    }
    for (namespace, end) in [(caller, End::Caller), (proxy, End::Proxy)] {
        wait_until_up(namespace, end.interface());
    }
}

/// Switches off what IPv6 sends unasked: duplicate address detection, router solicitations.
#[track_caller]
pub(crate) fn silence_ipv6(namespace: &Namespace) {
    for which in ["all", "default"] {
        for key in ["accept_dad", "accept_ra", "router_solicitations"] {
            namespace.set_sysctl(&format!("net/ipv6/conf/{which}/{key}"), "0");
        }
    }
}

/// Switches IPv6 off.
#[track_caller]
fn disable_ipv6(namespace: &Namespace) {
    for which in ["all", "default"] {
        namespace.set_sysctl(&format!("net/ipv6/conf/{which}/disable_ipv6"), "1");
    }
}

/// Sets the addresses and neighbours of one end.
#[track_caller]
fn set_up(namespace: &Namespace, end: End, options: WireOptions) {
    let interface = end.interface();
    namespace.ip(&format!("address add {}/24 dev {interface}", end.address(Family::V4)));
    if !options.quiet {
        namespace.ip(&format!("-6 address add {}/64 dev {interface} nodad", end.address(Family::V6)));
    }
    namespace.ip(&format!("link set {interface} up"));
    if options.quiet {
        let other = end.other();
        let (address, mac) = (other.address(Family::V4), mac_text(other.mac()));
        namespace.ip(&format!("neigh replace {address} lladdr {mac} dev {interface} nud permanent"));
    }
}

/// Waits until the kernel reports that the interface is up (`operstate`).
///
/// # Panics
///
/// Panics after 5 s.
#[track_caller]
pub fn wait_until_up(namespace: &Namespace, interface: &str) {
    wait_for_operstate(namespace, interface, "UP");
}

/// Waits until the kernel reports that the interface is down (`operstate`).
///
/// # Panics
///
/// Panics after 5 s.
#[track_caller]
pub fn wait_until_down(namespace: &Namespace, interface: &str) {
    wait_for_operstate(namespace, interface, "DOWN");
}

#[track_caller]
fn wait_for_operstate(namespace: &Namespace, interface: &str, state: &str) {
    wait::until(format_args!("{interface} to be {state}"), Duration::from_secs(5), || {
        link(namespace, interface, "")["operstate"] == state
    });
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Returns the Ethernet address of an interface.
///
/// # Panics
///
/// Panics if `ip` fails, or the interface is not an Ethernet device.
#[track_caller]
pub fn mac(host: &Namespace, interface: &str) -> [u8; 6] {
    let link = link(host, interface, "");
    let bytes =
        link["address"].as_str().map(|text| text.split(':').map_while(|byte| u8::from_str_radix(byte, 16).ok()));
    let mac = bytes.map(Iterator::collect::<Vec<u8>>).and_then(|bytes| bytes.try_into().ok());
    mac.or_fail(format_args!("no Ethernet address in {link}"))
}

/// Returns a counter of an interface, as `ip -s link` shows it: such as `("tx", "dropped")`.
///
/// # Panics
///
/// Panics if there is no such counter.
#[track_caller]
pub fn interface_counter(host: &Namespace, interface: &str, direction: &str, name: &str) -> u64 {
    let link = link(host, interface, "-s");
    let counter = link["stats64"][direction][name].as_u64();
    counter.or_fail(format_args!("no counter {direction} {name} in {link}"))
}

/// Returns the line on the XDP program of an interface in `ip -d link show`, or `None` without a program.
///
/// # Panics
///
/// Panics if `ip` fails.
#[track_caller]
pub fn attached_program(host: &Namespace, interface: &str) -> Option<String> {
    let shown = host.ip(&format!("-d link show dev {interface}"));
    shown.lines().find(|line| line.contains("prog/xdp")).map(|line| line.trim().to_owned())
}

/// Returns the JSON of `ip link show` on an interface.
#[track_caller]
pub(crate) fn link(host: &Namespace, interface: &str, options: &str) -> Value {
    let shown = host.ip(&format!("-j {options} link show dev {interface}"));
    let mut shown: Value = serde_json::from_str(&shown).or_fail(format_args!("not the JSON of `ip`: {shown}"));
    shown[0].take()
}
