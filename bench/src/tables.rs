//! The tables of the XDP program: those of a plain host, and full ones.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use filter_common::maps::{AddressKind, InterfaceState, mac_number};
use filter_user::dataplane::Ownership;
use filter_user::domain::{EntryList, Policy, Prefix, Scope};

use crate::messages;

/// Number of addresses, half of each family, that full tables have besides the proxy's.
const ADDRESSES: u16 = 1000;

/// Prefixes that contain the caller of the benchmarks, by family. A lookup descends through all of a family.
const CALLERS: [[&str; 4]; 2] = [
    ["198.0.0.0/8", "198.18.0.0/16", "198.18.0.0/24", "198.18.0.1/32"],
    ["2001::/16", "2001:db8::/32", "2001:db8::/48", "2001:db8::1/128"],
];

/// The contents of the program's tables.
pub(crate) struct Tables {
    /// The operator's lists.
    pub(crate) lists: Policy,
    /// Interfaces and addresses of this host.
    pub(crate) ownership: Ownership,
}

impl Tables {
    /// Creates the tables of a host with one address of each family on the interface `ifindex`. The operator has
    /// entered nothing, so there are only the default emergency numbers.
    pub(crate) fn plain(ifindex: u32) -> Self {
        let mut ownership = Ownership::default();
        let interface = InterfaceState { mac: mac_number(messages::PROXY_MAC), mtu: 1500, flags: 0 };
        ownership.interfaces.insert(ifindex, interface);
        own(&mut ownership, messages::PROXY);
        own(&mut ownership, messages::PROXY_IPV6);
        Self { lists: Policy::default(), ownership }
    }

    /// Creates the tables of a host with a thousand addresses, and with a scope of as many sources of each family as
    /// there can be. The caller of the benchmarks is in the scope.
    pub(crate) fn full(ifindex: u32) -> Result<Self> {
        let mut tables = Self::plain(ifindex);
        for number in 0..ADDRESSES / 2 {
            let [high, low] = number.to_be_bytes();
            own(&mut tables.ownership, Ipv4Addr::new(198, 19, high, low));
            own(&mut tables.ownership, Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number));
        }
        let mut sources = BTreeSet::new();
        for callers in CALLERS {
            let prefixes = callers.into_iter().map(str::parse).collect::<Result<Vec<Prefix>, _>>()?;
            sources.extend(prefixes);
        }
        for number in 0..(EntryList::ScopeSource.max_in_force() - CALLERS[0].len()) as u32 {
            // Multiples of an odd number (Knuth's) are spread evenly, as the peers of a carrier are, and all differ.
            let [a, b, c, d] = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
            sources.insert(format!("{a}.{b}.{c}.{d}/32").parse()?);
            sources.insert(format!("2001:{a:02x}{b:02x}:{c:02x}{d:02x}::/48").parse()?);
        }
        tables.lists.scope = Some(Scope { sources, destinations: BTreeSet::new() });
        Ok(tables)
    }
}

fn own(ownership: &mut Ownership, address: impl Into<IpAddr>) {
    ownership.addresses.insert(Ownership::words(address.into()), AddressKind::Own as u32);
}
