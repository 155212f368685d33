//! Several RX queues: each has its responder, and calls on each are refused.
#![cfg(test)]

use std::collections::BTreeMap;

use filter_lab::lab::Lab;
use filter_lab::wire::{Family, PROXY_INTERFACE, WireOptions};
use rstest::rstest;

/// Returns the number of frames that XDP redirected, for each RX queue, as the veth driver counts them.
#[track_caller]
fn redirected_by_queue(lab: &Lab) -> BTreeMap<u32, u64> {
    let mut queues = BTreeMap::new();
    for line in lab.inside.exec(&format!("ethtool -S {PROXY_INTERFACE}")).lines() {
        let Some((name, count)) = line.trim().split_once(": ") else { continue };
        let Some(rest) = name.strip_prefix("rx_queue_") else { continue };
        if let Some(queue) = rest.strip_suffix("_xdp_redirect") {
            queues.insert(queue.parse().expect("the number of a queue"), count.trim().parse().expect("a counter"));
        }
    }
    queues
}

#[rstest]
#[case::two(2, &[])]
#[case::four(4, &[])]
#[case::four_on_two_cpus(4, &["--cpus", "0-1"])]
#[case::four_with_busy_polling(4, &["--busy-poll", "50"])]
#[case::four_on_one_cpu_with_busy_polling(4, &["--cpus", "1", "--busy-poll", "1000"])]
fn calls_on_each_queue_are_refused(#[case] queues: u32, #[case] arguments: &[&str]) {
    let lab = Lab::with_wire(WireOptions { queues, ..WireOptions::default() });
    let _daemon = lab.filter.start(&[&["--iface", PROXY_INTERFACE, "--mode", "native"], arguments].concat());
    lab.filter.run(&["on"]);

    // The kernel spreads flows over the queues by a hash of their addresses and ports.
    for _ in 0..32 {
        lab.expect_call_refused(&lab.caller(Family::V4));
        lab.expect_call_refused(&lab.caller(Family::V6));
    }
    let redirected = redirected_by_queue(&lab);
    assert_eq!(redirected.keys().copied().collect::<Vec<_>>(), (0..queues).collect::<Vec<_>>());
    assert!(redirected.values().all(|count| *count > 0), "none on some queue: {redirected:?}");
    assert_eq!(redirected.values().sum::<u64>(), 64);
    assert_eq!(lab.filter.stats().answered(), 64);
}
