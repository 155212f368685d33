//! Checks of the interfaces that `run` would serve, together.

use std::collections::BTreeSet;

use filter_common::maps::MAX_QUEUES;

use super::daemon::Daemon;
use super::interface::Nic;
use super::{Finding, bond, routes};
use crate::config::RunSettings;
use crate::dataplane::{Error, Meaning, Target, Targets};
use crate::network::Network;

/// Checks all interfaces of `run`.
pub(super) fn examine(run: &RunSettings, daemon: &Daemon) -> Vec<Finding> {
    let network = match Network::read() {
        Ok(network) => network,
        Err(error) => return vec![absent(&Error::Netlink(error))],
    };
    let (mut findings, mut queues, mut shielded) = (Vec::new(), 0, BTreeSet::new());
    for (name, meaning) in Targets::new(&run.interfaces()).resolve(&network) {
        match meaning {
            Meaning::Interfaces(targets) if targets.is_empty() => {
                findings.push(absent(&Error::NoPorts { interface: name.clone() }).about(&name));
            }
            Meaning::Interfaces(targets) => {
                if let Some(bond) = targets.first().and_then(|port| network.find(port.bond.as_deref()?)) {
                    let found = bond::examine(bond, targets.len());
                    findings.extend(found.into_iter().map(|finding| finding.about(&bond.name)));
                }
                for target in targets {
                    shielded.insert(target.device.ifindex);
                    let (found, rx_queues) = examine_one(&network, &target, run, daemon);
                    findings.extend(found);
                    queues += rx_queues;
                }
            }
            Meaning::Missing => findings.push(absent(&Error::NoInterface { interface: name.clone() }).about(&name)),
            Meaning::NotEthernet { kind } => {
                findings.push(absent(&Error::NotEthernet { interface: name.clone(), kind }).about(&name));
            }
        }
    }
    if queues > MAX_QUEUES {
        let why = "each RX queue has an AF_XDP socket and a thread";
        let fix = "use fewer queues: `ethtool -L IF combined N`";
        findings.push(Finding::failure("queues", Error::TooManyQueues.to_string(), why, fix));
    }
    findings.extend(routes::examine(&network, &shielded));
    findings
}

/// Checks one interface. Returns the findings, and its number of RX queues.
fn examine_one(network: &Network, target: &Target, run: &RunSettings, daemon: &Daemon) -> (Vec<Finding>, u32) {
    let name = &target.device.name;
    match Nic::inspect(network, &target.device) {
        Ok(nic) => {
            let findings = nic.findings(run, daemon).into_iter().map(|finding| finding.about(name)).collect();
            (findings, nic.rx_queues())
        }
        Err(error) => (vec![absent(&error).about(name)], 0),
    }
}

fn absent(error: &Error) -> Finding {
    let why = "`sip-filter run` has nothing to attach to";
    let fix = "`ip link` lists the interfaces; name one of them with --iface, SIP_FILTER_IFACE, or iface in the table \
               [run] of the configuration file";
    Finding::failure("interface", error.to_string(), why, fix)
}
