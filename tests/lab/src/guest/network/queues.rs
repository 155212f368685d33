//! Queues that are not as many as they seem, or not as many as they were.

use std::thread;
use std::time::Duration;

use super::calls::{self, Fate, fate};
use super::health::{expect_alarm, switch_on};
use super::vlan::Vlan;
use super::{Scenario, lab, scenario};
use crate::failure::OrFail as _;
use crate::lab::Lab;
use crate::wire::{Family, PROXY_INTERFACE, WireOptions, wait_until_up};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!("queues", queues_that_are_added_get_a_responder_or_an_alarm, &["virtio-spare", "igb"], &[]),
    scenario!("queues", calls_on_each_queue_of_a_device_without_channels_are_refused, &["veth"], &["8021q"]),
];

/// Calls from as many ports. The probability that the hash sends all of them to one of two queues is 2⁻³¹.
const CALLS: usize = 32;

fn queues_that_are_added_get_a_responder_or_an_alarm() {
    let lab = lab();
    let most = set_combined(&lab, 1);
    let _daemon = lab.filter.start(&["--iface", PROXY_INTERFACE]);
    switch_on(&lab);
    calls::expect(&lab, &lab.caller(Family::V4), Fate::Refused);
    lab.inside.exec(&format!("ethtool -L {PROXY_INTERFACE} combined {most}"));
    wait_until_up(&lab.inside, PROXY_INTERFACE);
    thread::sleep(Duration::from_secs(3));
    let fates: Vec<Fate> = (0..CALLS).map(|_| fate(&lab.server, &lab.caller(Family::V4))).collect();
    assert!(!fates.contains(&Fate::Unanswered), "calls vanish on the new queues: {fates:?}");
    if fates.contains(&Fate::Passed) {
        expect_alarm(&lab, &[PROXY_INTERFACE, "queue"]);
    }
}

/// Sets the number of queues, and returns the largest one.
#[track_caller]
fn set_combined(lab: &Lab, queues: u32) -> u32 {
    let shown = lab.inside.exec(&format!("ethtool -l {PROXY_INTERFACE}"));
    let combined = shown.lines().find_map(|line| line.strip_prefix("Combined:")?.trim().parse().ok());
    // ethtool fails if nothing changes.
    let now = shown.lines().filter_map(|line| line.strip_prefix("Combined:")?.trim().parse::<u32>().ok()).nth(1);
    if now != Some(queues) {
        lab.inside.exec(&format!("ethtool -L {PROXY_INTERFACE} combined {queues}"));
        wait_until_up(&lab.inside, PROXY_INTERFACE);
    }
    combined.or_fail(format_args!("no number of combined queues in {shown}"))
}

/// `ethtool -l` does not know the queues of a VLAN device, which may have several all the same.
fn calls_on_each_queue_of_a_device_without_channels_are_refused() {
    /// A veth in generic mode receives on queue N−1 what was sent on N, so that calls arrive on three of four queues.
    const QUEUES: u32 = 4;
    let lab = Lab::with_wire(WireOptions { queues: QUEUES, ..WireOptions::default() });
    let vlan = Vlan::over_queues(&lab, QUEUES);
    let _daemon = lab.filter.start(&["--iface", "nic0.100", "--mode", "generic"]);
    switch_on(&lab);
    for _ in 0..CALLS {
        calls::expect(&lab, &vlan.caller(Family::V4), Fate::Refused);
    }
    let status = lab.filter.status();
    let queues = status["interfaces"][0]["queues"].as_array().or_fail(format_args!("no queues in {status}"));
    let answered: Vec<u64> = queues.iter().filter_map(|queue| queue["answered"].as_u64()).collect();
    assert!(answered.iter().filter(|count| **count > 0).count() > 1, "all calls were on one queue: {answered:?}");
}
