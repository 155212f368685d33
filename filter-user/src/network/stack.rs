//! How interfaces are stacked on each other: for which addresses and VLANs an interface receives.

use std::collections::BTreeSet;

use super::{Device, Network, VlanId};

/// Kinds of devices on top of another one that receive what arrives there for their own MAC address or VLAN.
///
/// A macvtap or ipvtap device is the NIC of a virtual machine, and what it receives is not this host's. The lower
/// interface of a veth is its other end, and that of a tunnel carries its packets in others.
const STACKED: [&str; 3] = ["vlan", "macvlan", "ipvlan"];

/// A way from an interface up to a device on top of it.
struct Climb<'a> {
    device: &'a Device,
    /// VLAN tags on the way, the outer first.
    tags: Vec<VlanId>,
}

impl Network {
    /// Returns the ports of a bond, a team or a bridge.
    pub(crate) fn ports(&self, ifindex: u32) -> impl Iterator<Item = &Device> {
        self.devices.values().filter(move |device| device.master == Some(ifindex))
    }

    /// Returns the devices above or below an interface, at any distance.
    pub(crate) fn relatives(&self, ifindex: u32) -> Vec<&Device> {
        let mut seen = BTreeSet::from([ifindex]);
        let mut next = vec![ifindex];
        while let Some(at) = next.pop() {
            let related = |device: &&Device| {
                self.is_above(device, at) || self.device(at).is_some_and(|below| self.is_above(below, device.ifindex))
            };
            for device in self.devices.values().filter(related) {
                if seen.insert(device.ifindex) {
                    next.push(device.ifindex);
                }
            }
        }
        seen.remove(&ifindex);
        seen.iter().filter_map(|ifindex| self.device(*ifindex)).collect()
    }

    /// Returns the MAC addresses for which the interface receives: its own, and those of the devices on top of it.
    pub(crate) fn stations(&self, ifindex: u32) -> BTreeSet<[u8; 6]> {
        self.climb(ifindex).iter().filter_map(|climb| climb.device.mac).collect()
    }

    /// Returns the VLANs that have a device on top of the interface, each as one or two tags, the outer first.
    pub(crate) fn vlans(&self, ifindex: u32) -> Vec<Vec<VlanId>> {
        self.climb_vlans(ifindex).map(|climb| climb.tags).collect()
    }

    /// Returns the VLAN devices on top of the interface.
    pub(crate) fn vlan_devices(&self, ifindex: u32) -> Vec<&Device> {
        self.climb_vlans(ifindex).map(|climb| climb.device).collect()
    }

    fn climb_vlans(&self, ifindex: u32) -> impl Iterator<Item = Climb<'_>> {
        let is_vlan = move |climb: &Climb<'_>| climb.device.vlan.is_some() && climb.device.ifindex != ifindex;
        self.climb(ifindex).into_iter().filter(is_vlan)
    }

    /// Returns the interface and the devices on top of it that receive frames without a VLAN tag.
    pub(crate) fn untagged(&self, ifindex: u32) -> BTreeSet<u32> {
        let climbs = self.climb(ifindex);
        climbs.iter().filter(|climb| climb.tags.is_empty()).map(|climb| climb.device.ifindex).collect()
    }

    /// Returns all ways up from the interface, beginning with the one to itself.
    fn climb(&self, ifindex: u32) -> Vec<Climb<'_>> {
        let mut climbs: Vec<Climb<'_>> = Vec::new();
        climbs.extend(self.device(ifindex).map(|device| Climb { device, tags: Vec::new() }));
        let mut at = 0;
        while let Some(Climb { device: below, tags }) = climbs.get(at) {
            let (below, tags) = (below.ifindex, tags.clone());
            for device in self.devices.values().filter(|device| self.is_above(device, below)) {
                // A device can be on top of another by one way only.
                if !climbs.iter().any(|climb| climb.device.ifindex == device.ifindex) {
                    let tags = tags.iter().copied().chain(device.vlan).collect();
                    climbs.push(Climb { device, tags });
                }
            }
            at += 1;
        }
        climbs
    }

    /// Returns whether `device` is directly above the interface `below`: stacked on it, or the one it is a port of.
    fn is_above(&self, device: &Device, below: u32) -> bool {
        let is_stacked = device.lower == Some(below) && STACKED.iter().any(|kind| device.is_kind(kind));
        is_stacked || self.device(below).is_some_and(|below| below.master == Some(device.ifindex))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Device, Network, VlanId};

    fn device(ifindex: u32, kind: &str, lower: Option<u32>, master: Option<u32>) -> Device {
        let kind = Some(kind.to_owned()).filter(|kind| !kind.is_empty());
        let mac = Some([2, 0, 0, 0, 0, ifindex as u8]);
        Device { ifindex, name: format!("dev{ifindex}"), kind, mac, lower, master, ..Device::default() }
    }

    fn vlan(ifindex: u32, lower: u32, id: u16) -> Device {
        Device { vlan: Some(VlanId { ethertype: 0x8100, id }), ..device(ifindex, "vlan", Some(lower), None) }
    }

    /// Two NICs (2, 3) in a bond (4) with a VLAN (5) that has a VLAN (6) and a macvlan (7) on top, a macvlan of the
    /// bond (8), a macvtap (9), a veth (10) whose other end is NIC 2, and a third NIC (11) with a VLAN (12).
    fn network() -> Network {
        let devices = [
            device(2, "", None, Some(4)),
            device(3, "", None, Some(4)),
            device(4, "bond", None, None),
            vlan(5, 4, 100),
            vlan(6, 5, 200),
            device(7, "macvlan", Some(5), None),
            device(8, "macvlan", Some(4), None),
            device(9, "macvtap", Some(4), None),
            device(10, "veth", Some(2), None),
            device(11, "", None, None),
            vlan(12, 11, 300),
        ];
        Network::new(devices, [])
    }

    #[test]
    fn interface_receives_for_the_mac_addresses_of_all_devices_on_top_of_it() {
        let last_bytes = |ifindex| network().stations(ifindex).into_iter().map(|mac| mac[5]).collect::<Vec<_>>();
        assert_eq!(last_bytes(2), [2, 4, 5, 6, 7, 8]);
        assert_eq!(last_bytes(4), [4, 5, 6, 7, 8]);
        assert_eq!(last_bytes(11), [11, 12]);
        assert_eq!(last_bytes(99), Vec::<u8>::new());
    }

    #[test]
    fn vlans_of_an_interface_have_all_tags_on_the_way_up() {
        let ids = |ifindex| {
            let ids = |tags: Vec<VlanId>| tags.into_iter().map(|tag| tag.id).collect::<Vec<_>>();
            network().vlans(ifindex).into_iter().map(ids).collect::<Vec<_>>()
        };
        assert_eq!(ids(3), [vec![100], vec![100, 200]]);
        assert_eq!(ids(5), [[200]]);
        assert_eq!(ids(8), Vec::<Vec<u16>>::new());
    }

    #[test]
    fn devices_on_top_of_a_vlan_device_receive_nothing_untagged() {
        assert_eq!(network().untagged(2), [2, 4, 8].into());
        assert_eq!(network().untagged(12), [12].into());
    }

    #[test]
    fn relatives_are_above_and_below_at_any_distance() {
        let relatives = |ifindex| network().relatives(ifindex).iter().map(|device| device.ifindex).collect::<Vec<_>>();
        assert_eq!(relatives(12), [11]);
        assert_eq!(relatives(7), [2, 3, 4, 5, 6, 8]);
    }
}
