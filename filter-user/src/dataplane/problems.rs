//! The problems that keep calls from being refused, as alarms.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use filter_common::maps::MAX_ADDRESSES;

use super::Error;
use super::interface::Interface;
use crate::domain::Alarm;
use crate::network::Device;

/// Time after which an interface that could not be served is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The problems that are known.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Error of rtnetlink.
    network: Option<String>,
    /// Errors of names that mean no interface.
    names: Vec<Failed>,
    /// Interfaces that cannot be served, by their index.
    failed: BTreeMap<u32, Failed>,
    /// Number of addresses, if it is too large.
    addresses: Option<usize>,
    /// Interfaces on which frames of VLANs may have lost their tag.
    vlan_stripping: Vec<Device>,
}

#[derive(Clone, Debug)]
struct Failed {
    interface: String,
    error: String,
    retry_at: Instant,
}

impl Failed {
    fn alarm(&self) -> Alarm {
        Alarm::Interface { interface: self.interface.clone(), error: self.error.clone() }
    }
}

impl Problems {
    /// Sets the error of rtnetlink, if there is one.
    pub(super) fn set_network(&mut self, error: Option<&Error>) {
        self.network = error.map(ToString::to_string);
    }

    /// Sets the errors of names that mean no interface.
    pub(super) fn set_names(&mut self, errors: Vec<(String, Error)>) {
        let failed = |(interface, error): (String, Error)| {
            let error = error.to_string();
            Failed { interface, error, retry_at: Instant::now() }
        };
        self.names = errors.into_iter().map(failed).collect();
    }

    /// Records that an interface cannot be served for now.
    pub(super) fn add(&mut self, device: &Device, error: &Error) {
        let (interface, error) = (device.name.clone(), error.to_string());
        self.failed.insert(device.ifindex, Failed { interface, error, retry_at: Instant::now() + RETRY });
    }

    /// Returns whether the interface may be tried again now.
    pub(super) fn may_retry(&self, ifindex: u32) -> bool {
        self.failed.get(&ifindex).is_none_or(|failed| Instant::now() >= failed.retry_at)
    }

    /// Forgets the problems of interfaces for which `is_over` holds.
    pub(super) fn forget(&mut self, is_over: impl Fn(u32) -> bool) {
        self.failed.retain(|ifindex, _| !is_over(*ifindex));
    }

    /// Sets the number of addresses, if it is too large.
    pub(super) fn set_addresses(&mut self, addresses: Option<usize>) {
        self.addresses = addresses;
    }

    /// Sets the interfaces on which frames of VLANs may have lost their tag.
    pub(super) fn set_vlan_stripping(&mut self, devices: Vec<Device>) {
        self.vlan_stripping = devices;
    }

    /// Returns the alarms of the problems, and of the `served` interfaces.
    pub(super) fn alarms(&self, served: &[Interface]) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = self.network.iter().map(|error| Alarm::Network { error: error.clone() }).collect();
        if let Some(addresses) = self.addresses {
            alarms.push(Alarm::TooManyAddresses { addresses, most: MAX_ADDRESSES as usize / 2 });
        }
        alarms.extend(self.names.iter().chain(self.failed.values()).map(Failed::alarm));
        for interface in served {
            let name = interface.device.name.clone();
            if let Some(error) = interface.queue_problem() {
                alarms.push(Alarm::Interface { interface: name.clone(), error: error.to_string() });
            }
            if let Some(most) = interface.exceeded_mtu() {
                alarms.push(Alarm::Mtu { interface: name, mtu: interface.device.mtu, most });
            }
        }
        alarms
    }

    /// Returns the alarms for calls that passed because they may have lost their VLAN tag.
    pub(super) fn vlan_alarms(&self) -> Vec<Alarm> {
        self.vlan_stripping.iter().map(vlan_alarm).collect()
    }
}

fn vlan_alarm(device: &Device) -> Alarm {
    let interface = device.name.clone();
    // The offloads of a virtual device do not matter.
    let offload = device.kind.is_none().then(|| format!("ethtool -K {interface} rxvlan off"));
    Alarm::VlanStripped { interface, fix: offload }
}
