//! Scenarios: networks as carriers build them (VLANs, bonds, bridges …), and what sip-filter must do on each.
//!
//! They are for virtual machines, since the kernel of the host need not have the drivers. Each builds its own hosts,
//! starts the real daemon and a SIP server on them, and panics at the line that failed.

mod addresses;
mod bond;
mod calls;
mod carrier;
mod health;
mod ipvlan;
mod links;
mod mtu;
mod not_ethernet;
mod other_hosts;
mod program_above;
mod queues;
mod stream;
mod team;
mod vlan;

use std::time::{Duration, Instant};

use super::nics;
use crate::failure::{OrFail as _, catch};
use crate::lab::Lab;

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Name: the subject, and what is claimed.
    pub name: &'static str,
    /// Names of the NICs on which it runs, as `cargo xtask kernels --nic` takes them. Its result may differ on each.
    pub nics: &'static [&'static str],
    /// Kernel modules that it needs, besides those of the NIC and `veth`.
    pub modules: &'static [&'static str],
    run: fn(),
}

/// Names a scenario after its subject and its function.
macro_rules! scenario {
    ($subject:literal, $run:ident, $nics:expr, $modules:expr) => {
        $crate::guest::network::Scenario {
            name: concat!($subject, "::", stringify!($run)),
            nics: $nics,
            modules: $modules,
            run: $run,
        }
    };
}
use scenario;

/// Returns all scenarios, in the order in which they run on one machine.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        vlan::SCENARIOS,
        bond::SCENARIOS,
        carrier::SCENARIOS,
        mtu::SCENARIOS,
        other_hosts::SCENARIOS,
        addresses::SCENARIOS,
        ipvlan::SCENARIOS,
        program_above::SCENARIOS,
        queues::SCENARIOS,
        team::SCENARIOS,
        not_ethernet::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// Runs the scenarios of these names. Reports for each the time that it took, or a sentence about the failure.
pub(super) fn run_all(names: &[String], mut report: impl FnMut(&str, Result<Duration, String>)) {
    for name in names {
        eprintln!("--- scenario {name} ---");
        let start = Instant::now();
        let scenario = all().find(|scenario| scenario.name == name);
        let result = catch(|| (scenario.or_fail("there is no such scenario").run)());
        report(name, result.map(|()| start.elapsed()));
    }
}

/// Creates a laboratory whose wire is the machine's NICs, or a veth pair if it has none.
#[track_caller]
fn lab() -> Lab {
    if nics::count() == 0 { Lab::new() } else { Lab::over_nics(nics::first_two().each_ref().map(String::as_str)) }
}
