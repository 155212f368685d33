//! The check that responses can go back the way that the requests came.

use std::collections::BTreeSet;

use super::Finding;
use crate::network::{Network, default_routes};

/// Checks that the default routes leave by the interfaces with these indices, or by devices on top of them.
pub(super) fn examine(network: &Network, shielded: &BTreeSet<u32>) -> Option<Finding> {
    let routes = default_routes().ok()?;
    finding(network, shielded, &routes)
}

fn finding(network: &Network, shielded: &BTreeSet<u32>, routes: &BTreeSet<u32>) -> Option<Finding> {
    let is_shielded = |route: &u32| {
        let mut below = network.relatives(*route).into_iter().map(|device| device.ifindex).chain([*route]);
        below.any(|ifindex| shielded.contains(&ifindex))
    };
    let others: Vec<&str> = routes
        .iter()
        .filter(|route| !is_shielded(route))
        .filter_map(|route| network.device(*route))
        .map(|device| device.name.as_str())
        .collect();
    if others.is_empty() || shielded.is_empty() {
        return None;
    }
    let fact = format!("a default route leaves by {}, to which `run` would not attach", others.join(", "));
    let why = "the response to a refused call goes back to the neighbour that it came from; behind LVS in direct routing \
               mode, or where routes are asymmetric, that is the wrong way";
    let fix = "if calls can arrive there, name that interface with --iface too; if they come through LVS in direct \
               routing mode, do not use sip-filter on this host";
    Some(Finding::warning("route", fact, why, fix))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::finding;
    use crate::network::{Device, Network};

    fn device(ifindex: u32, name: &str, lower: Option<u32>) -> Device {
        let kind = lower.map(|_| "vlan".to_owned());
        Device { ifindex, name: name.into(), kind, lower, ..Device::default() }
    }

    #[test]
    fn default_route_by_an_interface_that_is_not_shielded_is_a_warning() {
        let devices = [device(2, "eth0", None), device(3, "eth0.100", Some(2)), device(4, "eth1", None)];
        let network = Network::new(devices, []);
        let found = |shielded: &[u32], routes: &[u32]| {
            let set = |of: &[u32]| of.iter().copied().collect::<BTreeSet<u32>>();
            finding(&network, &set(shielded), &set(routes)).map(|finding| finding.fact)
        };
        assert_eq!(found(&[2], &[2]), None);
        assert_eq!(found(&[2], &[3]), None);
        assert_eq!(found(&[2], &[]), None);
        assert_eq!(found(&[], &[4]), None);
        assert!(found(&[2], &[2, 4]).unwrap().contains("leaves by eth1"));
    }
}
