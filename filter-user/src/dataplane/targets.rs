//! The interfaces that `--iface` means: a bond or a team means its ports.

use crate::network::{Device, Network};

/// The names of `--iface`, and the interfaces that they have meant so far.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    named: Vec<Named>,
}

#[derive(Clone, Debug)]
struct Named {
    name: String,
    /// Interface that the name meant last. It stays the same when it is renamed.
    ifindex: Option<u32>,
}

/// An interface to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Interface.
    pub(crate) device: Device,
    /// Name of the bond or team that it is a port of, if `--iface` names that one.
    pub(crate) bond: Option<String>,
}

/// The meaning of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Interfaces; none for a bond without ports.
    Interfaces(Vec<Target>),
    /// There is no interface of this name.
    Missing,
    /// The interface does not carry Ethernet frames.
    NotEthernet {
        /// Kind of the device, if it is virtual.
        kind: Option<String>,
    },
}

impl Targets {
    pub(crate) fn new(names: &[String]) -> Self {
        Self { named: names.iter().map(|name| Named { name: name.clone(), ifindex: None }).collect() }
    }

    /// Returns each name with what it means on `network`.
    pub(crate) fn resolve(&mut self, network: &Network) -> Vec<(String, Meaning)> {
        self.named.iter_mut().map(|named| (named.name.clone(), named.resolve(network))).collect()
    }
}

impl Named {
    fn resolve(&mut self, network: &Network) -> Meaning {
        let known = self.ifindex.and_then(|ifindex| network.device(ifindex));
        let Some(device) = known.or_else(|| network.find(&self.name)) else {
            self.ifindex = None;
            return Meaning::Missing;
        };
        self.ifindex = Some(device.ifindex);
        if device.mac.is_none() {
            return Meaning::NotEthernet { kind: device.kind.clone() };
        }
        if !device.is_aggregate() {
            return Meaning::Interfaces(vec![Target { device: device.clone(), bond: None }]);
        }
        let port = |port: &Device| Target { device: port.clone(), bond: Some(device.name.clone()) };
        Meaning::Interfaces(network.ports(device.ifindex).map(port).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Meaning, Target, Targets};
    use crate::network::{Device, Network};

    fn device(ifindex: u32, name: &str) -> Device {
        Device { ifindex, name: name.into(), mac: Some([2, 0, 0, 0, 0, 1]), ..Device::default() }
    }

    fn resolve(targets: &mut Targets, devices: &[Device]) -> Vec<Meaning> {
        targets.resolve(&Network::new(devices.to_vec(), [])).into_iter().map(|(_, meaning)| meaning).collect()
    }

    fn names(meaning: &Meaning) -> Vec<&str> {
        match meaning {
            Meaning::Interfaces(targets) => targets.iter().map(|target| &*target.device.name).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bond_means_its_ports_as_they_come_and_go() {
        let bond = Device { kind: Some("bond".into()), ..device(4, "bond0") };
        let port = |ifindex, name| Device { master: Some(4), ..device(ifindex, name) };
        let mut targets = Targets::new(&["bond0".into()]);
        assert_eq!(names(&resolve(&mut targets, &[bond.clone(), device(2, "eth0")])[0]), Vec::<&str>::new());
        let found = resolve(&mut targets, &[bond.clone(), port(2, "eth0"), port(3, "eth1"), device(5, "eth2")]);
        assert_eq!(names(&found[0]), ["eth0", "eth1"]);
        let first = Target { device: port(2, "eth0"), bond: Some("bond0".into()) };
        assert_eq!(
            found[0],
            Meaning::Interfaces(vec![first, Target { device: port(3, "eth1"), bond: Some("bond0".into()) }])
        );
        assert_eq!(names(&resolve(&mut targets, &[bond, device(2, "eth0"), port(3, "eth1")])[0]), ["eth1"]);
    }

    #[test]
    fn interface_is_followed_when_it_is_renamed_and_found_again_when_it_comes_back() {
        let mut targets = Targets::new(&["eth0".into()]);
        assert_eq!(names(&resolve(&mut targets, &[device(2, "eth0")])[0]), ["eth0"]);
        let renamed = resolve(&mut targets, &[device(2, "wan0"), device(9, "eth0")]);
        assert_eq!(names(&renamed[0]), ["wan0"]);
        assert_eq!(resolve(&mut targets, &[device(3, "eth1")]), [Meaning::Missing]);
        assert_eq!(names(&resolve(&mut targets, &[device(12, "eth0")])[0]), ["eth0"]);
    }

    #[test]
    fn interface_without_mac_address_is_not_ethernet() {
        let tunnel = Device { mac: None, kind: Some("tun".into()), ..device(2, "tun0") };
        let found = resolve(&mut Targets::new(&["tun0".into()]), &[tunnel]);
        assert_eq!(found, [Meaning::NotEthernet { kind: Some("tun".into()) }]);
    }
}
