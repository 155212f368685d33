//! The MAC addresses, VLANs and addresses for which the interfaces of this host receive, as the XDP program compares
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use filter_common::maps::{
    AddressKind, InterfaceState, MAX_ADDRESSES, Station, UntaggedAddress, Vlan, ipv6_words, mac_number, mapped_ipv4,
};

use super::ethtool;
use crate::network::{Address, Device, Network, VlanId};

/// Offloads by which a NIC takes the VLAN tag out of a frame, by the kernel's names for them.
pub(crate) const VLAN_OFFLOADS: [&str; 2] = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];

/// The contents of the maps by which the XDP program recognises what is this host's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// Interfaces that the program is attached to, by their index.
    pub interfaces: BTreeMap<u32, InterfaceState>,
    /// MAC addresses for which the interfaces receive besides their own.
    pub stations: BTreeSet<Station>,
    /// VLANs of which there are devices.
    pub vlans: BTreeSet<Vlan>,
    /// Addresses as the map has them ([`words`](Ownership::words)), with their [`AddressKind`] as a number.
    pub addresses: BTreeMap<[u64; 2], u32>,
    /// Addresses at which packets without a VLAN tag can arrive.
    pub untagged: BTreeSet<UntaggedAddress>,
}

/// An interface whose requests the XDP program sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shield<'a> {
    /// Interface.
    pub(super) device: &'a Device,
    /// True unless the program is attached in native mode.
    pub(super) is_generic: bool,
    /// True if the program may see frames without their VLAN tag.
    pub(super) strips_vlan_tags: bool,
}

impl Ownership {
    /// Returns what is this host's on `network`, as seen on the interfaces.
    pub(super) fn new(network: &Network, shields: &[Shield<'_>]) -> Self {
        let mut this = Self::default();
        this.add_addresses(network.addresses());
        for shield in shields {
            this.add_interface(network, shield);
        }
        this
    }

    /// Returns an address as the maps have it: IPv6, or IPv4-mapped, in network byte order, in two words.
    pub fn words(address: IpAddr) -> [u64; 2] {
        match address {
            IpAddr::V4(address) => mapped_ipv4(address.octets()),
            IpAddr::V6(address) => ipv6_words(address.octets()),
        }
    }

    /// Returns whether there are more addresses than the maps can hold.
    pub(super) fn is_over_limit(&self) -> bool {
        // A new set of addresses is inserted before the old one is removed, so the maps hold two.
        self.addresses.len().max(self.untagged.len()) > MAX_ADDRESSES as usize / 2
    }

    fn add_addresses(&mut self, addresses: &[Address]) {
        for broadcast in addresses.iter().filter_map(|address| address.broadcast) {
            self.addresses.insert(mapped_ipv4(broadcast.octets()), AddressKind::Broadcast as u32);
        }
        // Afterwards, because an address of this host is not a broadcast address, whatever the length of its prefix.
        // Loopback addresses are on no wire.
        for address in addresses.iter().map(|address| address.ip).filter(|address| !address.is_loopback()) {
            self.addresses.insert(Self::words(address), AddressKind::Own as u32);
        }
    }

    fn add_interface(&mut self, network: &Network, shield: &Shield<'_>) {
        let Device { ifindex, mac: Some(mac), mtu, .. } = *shield.device else {
            return;
        };
        let vlans = network.vlans(ifindex);
        let mut flags = 0;
        let mut set = |flag, is_set| flags |= if is_set { flag } else { 0 };
        set(InterfaceState::GENERIC, shield.is_generic);
        set(InterfaceState::BACKUP, shield.device.is_backup());
        set(InterfaceState::STRIPS_VLAN_TAGS, shield.strips_vlan_tags);
        self.interfaces.insert(ifindex, InterfaceState { mac: mac_number(mac), mtu, flags });
        let others = network.stations(ifindex).into_iter().filter(|station| *station != mac);
        self.stations.extend(others.map(|mac| Station { mac: mac_number(mac), ifindex, reserved: 0 }));
        self.vlans.extend(vlans.iter().filter_map(|tags| vlan(ifindex, tags)));
        if shield.strips_vlan_tags {
            let untagged = network.untagged(ifindex);
            let addresses = network.addresses().iter().filter(|address| untagged.contains(&address.ifindex));
            let key = |address: &Address| UntaggedAddress { address: Self::words(address.ip), ifindex, reserved: 0 };
            self.untagged.extend(addresses.map(key));
        }
    }
}

/// Returns whether the XDP program may see frames of VLANs on the interface without their tag.
///
/// A NIC takes tags out of the frames if an offload is on. A virtual device has them beside the packet
/// (`skb->vlan_tci`), whatever its offloads say.
pub(super) fn strips_vlan_tags(network: &Network, device: &Device) -> bool {
    !network.vlans(device.ifindex).is_empty() && (device.kind.is_some() || has_vlan_offload(&device.name))
}

/// Returns whether the NIC takes VLAN tags out of the frames. If that is unknown, it might.
fn has_vlan_offload(interface: &str) -> bool {
    ethtool::offloads(interface)
        .map_or(true, |offloads| VLAN_OFFLOADS.iter().any(|name| offloads.get(*name).is_some_and(|offload| offload.on)))
}

/// Returns a VLAN of one or two tags, or `None` if it has more: the XDP program does not look into its frames.
fn vlan(ifindex: u32, tags: &[VlanId]) -> Option<Vlan> {
    let number = |tag: &VlanId| (u32::from(tag.ethertype) << 16) | u32::from(tag.id);
    match tags {
        [outer] => Some(Vlan { ifindex, outer: number(outer), inner: 0, reserved: 0 }),
        [outer, inner] => Some(Vlan { ifindex, outer: number(outer), inner: number(inner), reserved: 0 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use filter_common::maps::{AddressKind, InterfaceState, Vlan};

    use super::{Ownership, Shield};
    use crate::network::{Address, BondPort, Device, Network, VlanId};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn nic() -> Device {
        Device { ifindex: 2, name: "eth0".into(), mac: Some([2, 0, 0, 0, 0, 2]), mtu: 1500, ..Device::default() }
    }

    fn vlan_device(ifindex: u32, lower: u32, id: u16) -> Device {
        Device {
            ifindex,
            name: format!("vlan{id}"),
            kind: Some("vlan".into()),
            mac: Some([2, 0, 0, 0, 0, ifindex as u8]),
            lower: Some(lower),
            vlan: Some(VlanId { ethertype: 0x8100, id }),
            ..Device::default()
        }
    }

    fn address(ifindex: u32, text: &str, broadcast: Option<&str>) -> Address {
        Address { ifindex, ip: ip(text), broadcast: broadcast.map(|text| text.parse().unwrap()) }
    }

    fn ownership(network: &Network, strips_vlan_tags: bool) -> Ownership {
        let device = network.device(2).unwrap();
        Ownership::new(network, &[Shield { device, is_generic: false, strips_vlan_tags }])
    }

    #[test]
    fn addresses_of_all_interfaces_are_this_hosts_but_for_those_of_loopback() {
        let addresses = [
            address(1, "127.0.0.1", Some("127.255.255.255")),
            address(1, "198.18.7.7", None),
            address(1, "::1", None),
            address(2, "198.18.0.2", Some("198.18.0.255")),
            address(2, "2001:db8::2", None),
            // One host's broadcast address can be another's own, in a network of another length.
            address(9, "198.18.0.255", None),
        ];
        let found = ownership(&Network::new([nic()], addresses), false).addresses;
        let own = AddressKind::Own as u32;
        for (text, kind) in [
            ("198.18.7.7", Some(own)),
            ("198.18.0.2", Some(own)),
            ("198.18.0.255", Some(own)),
            ("2001:db8::2", Some(own)),
            ("127.255.255.255", Some(AddressKind::Broadcast as u32)),
            ("127.0.0.1", None),
            ("::1", None),
        ] {
            assert_eq!(found.get(&Ownership::words(ip(text))).copied(), kind, "{text}");
        }
    }

    #[test]
    fn interface_has_the_mac_addresses_and_vlans_of_the_devices_on_top_of_it() {
        let devices = [nic(), vlan_device(5, 2, 100), vlan_device(6, 5, 200), vlan_device(7, 6, 300)];
        let found = ownership(&Network::new(devices, []), false);
        let tag = |id: u32| (0x8100 << 16) | id;
        let vlan = |outer, inner| Vlan { ifindex: 2, outer, inner, reserved: 0 };
        assert_eq!(found.vlans, [vlan(tag(100), 0), vlan(tag(100), tag(200))].into());
        let macs: Vec<u64> = found.stations.iter().map(|station| station.mac).collect();
        assert_eq!(macs, [0x0500_0000_0002, 0x0600_0000_0002, 0x0700_0000_0002]);
        assert_eq!(found.interfaces[&2], InterfaceState { mac: 0x0200_0000_0002, mtu: 1500, flags: 0 });
        assert!(found.untagged.is_empty());
    }

    #[test]
    fn only_addresses_of_untagged_devices_are_answered_where_tags_are_stripped() {
        let addresses =
            [address(2, "198.18.0.2", None), address(5, "198.18.1.2", None), address(1, "198.18.7.7", None)];
        let found = ownership(&Network::new([nic(), vlan_device(5, 2, 100)], addresses), true);
        assert!(found.interfaces[&2].has(InterfaceState::STRIPS_VLAN_TAGS));
        let untagged: Vec<_> = found.untagged.iter().map(|untagged| (untagged.ifindex, untagged.address)).collect();
        assert_eq!(untagged, [(2, Ownership::words(ip("198.18.0.2")))]);
    }

    #[test]
    fn backup_port_of_a_bond_has_the_flag() {
        let port = BondPort { is_backup: true, is_up: true, is_aggregated: true };
        let network = Network::new([Device { bond_port: Some(port), ..nic() }], []);
        assert!(ownership(&network, false).interfaces[&2].has(InterfaceState::BACKUP));
    }
}
