//! The wire: a veth pair between the caller's namespace and the proxy's, with addresses, ready for packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::namespace::Namespace;
use crate::{process, wait};

/// The caller's end of the wire.
pub const CALLER_INTERFACE: &str = "wire0";
/// The proxy's end: the NIC on which the filter sits.
pub const PROXY_INTERFACE: &str = "nic0";

/// An IP version, for tests that are run with both.
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
    /// Where calls come from.
    Caller,
    /// Where the proxy and the filter are.
    Proxy,
}

impl End {
    /// The address of this end: from the ranges for benchmarks (RFC 2544) and documentation (RFC 3849).
    pub const fn address(self, family: Family) -> IpAddr {
        match (self, family) {
            (Self::Caller, Family::V4) => IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
            (Self::Proxy, Family::V4) => IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2)),
            (Self::Caller, Family::V6) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            (Self::Proxy, Family::V6) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
        }
    }

    /// The Ethernet address of this end (locally administered, and the same in each laboratory).
    pub const fn mac(self) -> [u8; 6] {
        match self {
            Self::Caller => [0x02, 0, 0, 0, 0, 1],
            Self::Proxy => [0x02, 0, 0, 0, 0, 2],
        }
    }

    /// The name of the interface.
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

/// What the wire is like.
#[derive(Clone, Copy, Debug)]
pub struct WireOptions {
    /// RX and TX queues at each end.
    pub queues: u32,
    /// MTU at both ends.
    pub mtu: u32,
    /// No packet that the test did not send: fixed neighbours instead of ARP, and no IPv6 at all.
    pub quiet: bool,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self { queues: 1, mtu: 1500, quiet: false }
    }
}

/// Lays a wire between `caller` and `proxy` and waits until both ends are usable.
pub fn lay(caller: &Namespace, proxy: &Namespace, options: WireOptions) -> Result<()> {
    for namespace in [caller, proxy] {
        prepare(namespace, options)?;
    }
    let WireOptions { queues, mtu, .. } = options;
    let end = format!("mtu {mtu} numrxqueues {queues} numtxqueues {queues}");
    caller.ip(&format!(
        "link add {CALLER_INTERFACE} address {} {end} type veth peer name {PROXY_INTERFACE} address {} {end} netns {}",
        mac_text(End::Caller.mac()),
        mac_text(End::Proxy.mac()),
        proxy.path().display(),
    ))?;
    // The filter's replies are sent into the caller's end, which takes XDP frames only with NAPI.
    caller.sh(&format!("ethtool -K {CALLER_INTERFACE} gro on"))?;
    for (namespace, end) in [(caller, End::Caller), (proxy, End::Proxy)] {
        // Real checksums on the wire, as on a real one.
        namespace.sh(&format!("ethtool -K {} tx off", end.interface()))?;
    }
    set_up_both(caller, proxy, options)
}

/// Makes a wire of two NICs of this host that are connected with each other: `nics` names the caller's and the proxy's.
///
/// They go into the namespaces, and come back (under the names that they have there) when these end.
pub fn lay_over(caller: &Namespace, proxy: &Namespace, nics: [&str; 2]) -> Result<()> {
    let options = WireOptions::default();
    for (namespace, nic, end) in [(caller, nics[0], End::Caller), (proxy, nics[1], End::Proxy)] {
        prepare(namespace, options)?;
        let mut ip = Command::new("ip");
        ip.args(["link", "set", nic, "netns"]).arg(namespace.path()).args(["name", end.interface()]);
        process::output(&mut ip)?;
    }
    set_up_both(caller, proxy, options)
}

fn set_up_both(caller: &Namespace, proxy: &Namespace, options: WireOptions) -> Result<()> {
    for (namespace, end) in [(caller, End::Caller), (proxy, End::Proxy)] {
        set_up(namespace, end, options)?;
    }
    for (namespace, end) in [(caller, End::Caller), (proxy, End::Proxy)] {
        wait_until_up(namespace, end.interface())?;
    }
    Ok(())
}

/// Keeps IPv6 from talking by itself (duplicate address detection, router solicitations).
fn prepare(namespace: &Namespace, options: WireOptions) -> Result<()> {
    for which in ["all", "default"] {
        let conf = format!("net/ipv6/conf/{which}");
        if options.quiet {
            namespace.sysctl(&format!("{conf}/disable_ipv6"), "1")?;
        }
        namespace.sysctl(&format!("{conf}/accept_dad"), "0")?;
        namespace.sysctl(&format!("{conf}/accept_ra"), "0")?;
        namespace.sysctl(&format!("{conf}/router_solicitations"), "0")?;
    }
    Ok(())
}

/// Addresses and neighbours of one end.
fn set_up(namespace: &Namespace, end: End, options: WireOptions) -> Result<()> {
    let interface = end.interface();
    namespace.ip(&format!("address add {}/24 dev {interface}", end.address(Family::V4)))?;
    if !options.quiet {
        namespace.ip(&format!("-6 address add {}/64 dev {interface} nodad", end.address(Family::V6)))?;
    }
    namespace.ip(&format!("link set {interface} up"))?;
    if options.quiet {
        let other = end.other();
        let (address, mac) = (other.address(Family::V4), mac_text(other.mac()));
        namespace.ip(&format!("neigh replace {address} lladdr {mac} dev {interface} nud permanent"))?;
    }
    Ok(())
}

/// Waits until the interface has its carrier and the kernel has noticed.
pub fn wait_until_up(namespace: &Namespace, interface: &str) -> Result<()> {
    wait::until(&format!("{interface} to come up"), Duration::from_secs(5), || {
        let shown: serde_json::Value =
            serde_json::from_str(&namespace.ip(&format!("-j link show dev {interface}"))?).context("ip -j")?;
        Ok(shown[0]["operstate"] == "UP")
    })?;
    Ok(())
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A counter of an interface, as `ip -s link` shows it: such as `("tx", "dropped")`.
pub fn interface_counter(host: &Namespace, interface: &str, direction: &str, name: &str) -> Result<u64> {
    let shown = host.ip(&format!("-j -s link show dev {interface}"))?;
    let shown: serde_json::Value = serde_json::from_str(&shown).context("JSON of ip")?;
    let counter = shown[0]["stats64"][direction][name].as_u64();
    counter.with_context(|| format!("no counter {direction} {name} in {shown}"))
}
