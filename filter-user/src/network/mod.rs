//! The network of this host: interfaces, how they are stacked on each other, and addresses, as rtnetlink reports them.
//!
//! All is read in the network namespace of the calling thread, and nothing is changed.

mod address;
mod changes;
mod device;
mod netlink;
mod route;
mod stack;
mod team;
mod xdp_program;

use std::collections::BTreeMap;
use std::io;

pub(crate) use address::Address;
pub(crate) use changes::Changes;
#[cfg(test)]
pub(crate) use device::{Bond, BondPort};
pub(crate) use device::{BondMode, Device, VlanId};
pub(crate) use route::default_routes;
pub use xdp_program::AttachMode;
pub(crate) use xdp_program::XdpProgram;

/// Interfaces and addresses of this host at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    devices: BTreeMap<u32, Device>,
    addresses: Vec<Address>,
}

impl Network {
    /// Reads interfaces and addresses from the kernel.
    pub(crate) fn read() -> io::Result<Self> {
        let links = netlink::dump_links()?;
        let addresses = netlink::dump_addresses()?;
        let devices = links.into_iter().filter_map(Device::from_message);
        let mut this = Self::new(devices, addresses.into_iter().filter_map(Address::from_message));
        this.read_teams()?;
        Ok(this)
    }

    /// Creates a network of these interfaces and addresses.
    pub(crate) fn new(devices: impl IntoIterator<Item = Device>, addresses: impl IntoIterator<Item = Address>) -> Self {
        Self {
            devices: devices.into_iter().map(|device| (device.ifindex, device)).collect(),
            addresses: addresses.into_iter().collect(),
        }
    }

    /// Reads the states of the ports of teams.
    fn read_teams(&mut self) -> io::Result<()> {
        let teams: Vec<u32> =
            self.devices.values().filter(|device| device.is_kind("team")).map(|team| team.ifindex).collect();
        for team in teams {
            let states = team::States::read(team)?;
            for port in self.devices.values_mut().filter(|device| device.master == Some(team)) {
                port.bond_port = states.port(port.ifindex);
            }
        }
        Ok(())
    }

    /// Returns the interface with this index.
    pub(crate) fn device(&self, ifindex: u32) -> Option<&Device> {
        self.devices.get(&ifindex)
    }

    /// Returns the interface with this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Device> {
        self.devices.values().find(|device| device.name == name)
    }

    /// Returns all addresses.
    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }
}
