//! Addresses of the host that are not on the shielded interface, and that come and go: virtual IP addresses.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::calls::{self, FAMILIES, Fate};
use super::health::switch_on;
use super::{Scenario, scenario};
use crate::caller::Caller;
use crate::lab::Lab;
use crate::sip_server::PORT;
use crate::wire::{End, Family};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!("addresses", calls_to_an_address_are_refused_within_a_second_of_its_addition, VETH, MODULES),
    scenario!("addresses", calls_to_an_address_pass_within_a_second_of_its_removal, VETH, MODULES),
    scenario!("addresses", calls_to_an_address_are_refused_while_others_change, VETH, MODULES),
];

const VETH: &[&str] = &["veth"];
const MODULES: &[&str] = &["dummy"];

/// Time within which a change has to be in force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// Returns a virtual address, in a network of its own.
fn virtual_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => [203, 0, 113, 7].into(),
        Family::V6 => [0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 7].into(),
    }
}

/// Adds or deletes the virtual address.
#[track_caller]
fn change(lab: &Lab, action: &str, family: Family, device: &str) {
    let length = if family == Family::V4 { 32 } else { 128 };
    // Not checked for duplicates, which would take a second.
    let flags = if family == Family::V6 && action == "add" { " nodad" } else { "" };
    lab.inside.ip(&format!("address {action} {}/{length} dev {device}{flags}", virtual_address(family)));
}

/// Creates a laboratory whose proxy's host has a device `dummy0`, and whose callers know the way to the virtual
/// address.
#[track_caller]
fn address_lab() -> Lab {
    let lab = Lab::new();
    lab.inside.ip("link add dummy0 type dummy");
    lab.inside.ip("link set dummy0 up");
    for family in FAMILIES {
        lab.outside.ip(&format!("route add {} via {}", virtual_address(family), End::Proxy.address(family)));
    }
    lab
}

/// Creates a caller of the virtual address.
#[track_caller]
fn caller(lab: &Lab, family: Family) -> Caller {
    let caller = (End::Caller.address(family), 0).into();
    Caller::new(&lab.outside, caller, (virtual_address(family), PORT).into())
}

fn calls_to_an_address_are_refused_within_a_second_of_its_addition() {
    let lab = address_lab();
    let _daemon = lab.start("native");
    switch_on(&lab);
    for device in ["lo", "dummy0"] {
        for family in FAMILIES {
            // There is no such host yet.
            calls::expect(&lab, &caller(&lab, family), Fate::Unanswered);
            change(&lab, "add", family, device);
            thread::sleep(IN_FORCE);
            calls::expect(&lab, &caller(&lab, family), Fate::Refused);
            change(&lab, "del", family, device);
            thread::sleep(IN_FORCE);
        }
    }
}

fn calls_to_an_address_pass_within_a_second_of_its_removal() {
    let lab = address_lab();
    for device in ["lo", "dummy0"] {
        for family in FAMILIES {
            change(&lab, "add", family, device);
            let mut daemon = lab.start("native");
            switch_on(&lab);
            calls::expect(&lab, &caller(&lab, family), Fate::Refused);
            change(&lab, "del", family, device);
            thread::sleep(IN_FORCE);
            calls::expect(&lab, &caller(&lab, family), Fate::Unanswered);
            let stats = lab.filter.stats();
            assert!(stats.count("other_address") > 0, "{:?}", stats.nonzero_verdicts());
            daemon.end(Signal::SIGTERM);
        }
    }
}

fn calls_to_an_address_are_refused_while_others_change() {
    let lab = address_lab();
    let _daemon = lab.start("native");
    switch_on(&lab);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for action in ["add", "del"] {
                    for host in 1..=20 {
                        lab.inside.ip(&format!("address {action} 203.0.113.{host}/32 dev dummy0"));
                    }
                }
            }
        });
        let _stop = StopOnDrop(&stop);
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            for family in FAMILIES {
                calls::expect(&lab, &lab.caller(family), Fate::Refused);
            }
        }
    });
}

/// Stops the thread beside it, also when a call was not refused: the scope waits for the thread.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
