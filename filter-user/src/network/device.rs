//! An interface as rtnetlink describes it.

use filter_common::net::{ETH_P_8021AD, ETH_P_8021Q};
pub(crate) use netlink_packet_route::link::BondMode;
use netlink_packet_route::link::{
    BondPortState, InfoBond, InfoBondPort, InfoData, InfoPortData, InfoVlan, LacpState, LinkAttribute, LinkFlags,
    LinkInfo, LinkLayerType, LinkMessage, MiiStatus, VlanProtocol,
};

use super::XdpProgram;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Device {
    /// Index.
    pub(crate) ifindex: u32,
    /// Name.
    pub(crate) name: String,
    /// Kind of a virtual device (`veth`, `bond`, `vlan` …); `None` for a physical one.
    pub(crate) kind: Option<String>,
    /// MAC address; `None` if the interface is not Ethernet.
    pub(crate) mac: Option<[u8; 6]>,
    /// MTU in bytes.
    pub(crate) mtu: u32,
    /// True if it is administratively up (`ip link set IF up`).
    pub(crate) up: bool,
    /// True if it has a carrier.
    pub(crate) carrier: bool,
    /// Interface below it, if that is in the same network namespace: of a VLAN device the one that carries the tagged
    /// frames.
    pub(crate) lower: Option<u32>,
    /// Interface that it is a port of: a bond, a bridge …
    pub(crate) master: Option<u32>,
    /// VLAN of a VLAN device.
    pub(crate) vlan: Option<VlanId>,
    /// Settings of a bond.
    pub(crate) bond: Option<Bond>,
    /// State as a port of a bond or a team.
    pub(crate) bond_port: Option<BondPort>,
    /// Number of RX queues for which the kernel has memory: at least those in use.
    pub(crate) rx_queues: u32,
    /// Number of TX queues for which the kernel has memory.
    pub(crate) tx_queues: u32,
    /// XDP program that is attached to it.
    pub(crate) program: Option<XdpProgram>,
}

/// A VLAN: its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VlanId {
    /// Ethertype of the tag.
    pub(crate) ethertype: u16,
    /// VLAN id, 0 to 4094.
    pub(crate) id: u16,
}

/// Settings of a bond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bond {
    /// Mode.
    pub(crate) mode: BondMode,
    /// Interval of the checks of its ports' links in milliseconds; 0 without checks.
    pub(crate) miimon: u32,
    /// Interval of ARP checks in milliseconds; 0 without checks.
    pub(crate) arp_interval: u32,
    /// Time for which a port is still used after its link is down, in milliseconds.
    pub(crate) downdelay: u32,
    /// Port by which the bond sends, in the modes with one active port.
    pub(crate) active_port: Option<u32>,
}

/// State of a port of a bond or a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BondPort {
    /// True if the bond drops what the port receives.
    pub(crate) is_backup: bool,
    /// True if the bond considers the link of the port up. Always true in a team, whose daemon decides that.
    pub(crate) is_up: bool,
    /// True unless the bond uses LACP (802.3ad) and the port does not collect and distribute (yet), or all ports of a
    /// team are to be used and this one is disabled.
    pub(crate) is_aggregated: bool,
}

impl Device {
    /// Reads an interface from a message of rtnetlink.
    pub(super) fn from_message(message: LinkMessage) -> Option<Self> {
        let has = |flag| message.header.flags.contains(flag);
        // The loopback interface has Ethernet headers too.
        let is_ethernet = matches!(message.header.link_layer_type, LinkLayerType::Ether | LinkLayerType::Loopback);
        let mut device = Self {
            ifindex: message.header.index,
            up: has(LinkFlags::Up),
            carrier: has(LinkFlags::LowerUp),
            rx_queues: 1,
            tx_queues: 1,
            ..Self::default()
        };
        let mut lower_is_elsewhere = false;
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => device.name = name,
                LinkAttribute::Address(address) if is_ethernet => device.mac = address.try_into().ok(),
                LinkAttribute::Mtu(mtu) => device.mtu = mtu,
                LinkAttribute::Link(ifindex) => device.lower = Some(ifindex).filter(|ifindex| *ifindex != 0),
                LinkAttribute::LinkNetNsId(_) => lower_is_elsewhere = true,
                LinkAttribute::Controller(ifindex) => device.master = Some(ifindex).filter(|ifindex| *ifindex != 0),
                LinkAttribute::NumRxQueues(queues) => device.rx_queues = queues.max(1),
                LinkAttribute::NumTxQueues(queues) => device.tx_queues = queues.max(1),
                LinkAttribute::Xdp(attributes) => device.program = XdpProgram::from_attributes(&attributes),
                LinkAttribute::LinkInfo(infos) => device.read_infos(&infos),
                _ => {}
            }
        }
        if lower_is_elsewhere {
            device.lower = None;
        }
        (!device.name.is_empty()).then_some(device)
    }

    fn read_infos(&mut self, infos: &[LinkInfo]) {
        for info in infos {
            match info {
                LinkInfo::Kind(kind) => self.kind = Some(kind.to_string()),
                LinkInfo::Data(InfoData::Vlan(attributes)) => self.vlan = Some(vlan(attributes)),
                LinkInfo::Data(InfoData::Bond(attributes)) => self.bond = Some(bond(attributes)),
                LinkInfo::PortData(InfoPortData::BondPort(attributes)) => self.bond_port = Some(bond_port(attributes)),
                _ => {}
            }
        }
    }

    /// Returns whether it is a device of this kind.
    pub(crate) fn is_kind(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// Returns whether its ports are what calls arrive on: it is a bond or a team.
    pub(crate) fn is_aggregate(&self) -> bool {
        self.is_kind("bond") || self.is_kind("team")
    }

    /// Returns whether it is up and can receive: as a port of a bond or a team, that uses it or would.
    pub(crate) fn is_usable(&self) -> bool {
        self.up && self.carrier && self.bond_port.is_none_or(|port| port.is_up && port.is_aggregated)
    }

    /// Returns whether it is a backup port of a bond or a team.
    pub(crate) fn is_backup(&self) -> bool {
        self.bond_port.is_some_and(|port| port.is_backup)
    }
}

fn vlan(attributes: &[InfoVlan]) -> VlanId {
    let mut vlan = VlanId { ethertype: ETH_P_8021Q, id: 0 };
    for attribute in attributes {
        match attribute {
            InfoVlan::Id(id) => vlan.id = *id,
            InfoVlan::Protocol(VlanProtocol::Ieee8021Ad) => vlan.ethertype = ETH_P_8021AD,
            _ => {}
        }
    }
    vlan
}

fn bond(attributes: &[InfoBond]) -> Bond {
    let mut bond = Bond::default();
    for attribute in attributes {
        match attribute {
            InfoBond::Mode(mode) => bond.mode = *mode,
            InfoBond::MiiMon(interval) => bond.miimon = *interval,
            InfoBond::ArpInterval(interval) => bond.arp_interval = *interval,
            InfoBond::DownDelay(delay) => bond.downdelay = *delay,
            InfoBond::ActivePort(ifindex) => bond.active_port = Some(*ifindex),
            _ => {}
        }
    }
    bond
}

fn bond_port(attributes: &[InfoBondPort]) -> BondPort {
    /// LACP state of a port that is in use (IEEE 802.1AX section 6.4.2.3).
    const IN_USE: LacpState = LacpState::COLLECTING.union(LacpState::DISTRIBUTING);
    let mut port = BondPort { is_backup: false, is_up: true, is_aggregated: true };
    for attribute in attributes {
        match attribute {
            InfoBondPort::BondPortState(state) => port.is_backup = *state == BondPortState::Backup,
            InfoBondPort::MiiStatus(status) => port.is_up = *status == MiiStatus::Up,
            // Only ports of a bond with LACP have this attribute.
            InfoBondPort::AdActorOperPortState(state) => port.is_aggregated = state.contains(IN_USE),
            _ => {}
        }
    }
    port
}
