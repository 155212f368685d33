//! Several RX queues: each has its responder, and calls on each are refused.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use filter_tests::lab::Lab;
use filter_tests::wire::{Family, PROXY_INTERFACE, WireOptions};

/// Frames redirected by XDP, for each RX queue, as the veth driver counts them.
fn redirected_by_queue(lab: &Lab) -> Result<BTreeMap<u32, u64>> {
    let mut queues = BTreeMap::new();
    for line in lab.inside.sh(&format!("ethtool -S {PROXY_INTERFACE}"))?.lines() {
        let Some((name, count)) = line.trim().split_once(": ") else { continue };
        let Some(rest) = name.strip_prefix("rx_queue_") else { continue };
        if let Some(queue) = rest.strip_suffix("_xdp_redirect") {
            queues.insert(queue.parse().context("queue number")?, count.trim().parse().context("counter")?);
        }
    }
    Ok(queues)
}

#[test]
fn calls_on_each_queue_are_refused() -> Result<()> {
    let lab = Lab::with(WireOptions { queues: 2, ..WireOptions::default() })?;
    let _daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;

    // The kernel spreads flows over the queues by a hash of their addresses and ports.
    for _ in 0..32 {
        lab.is_refused(&lab.caller(Family::V4)?)?;
        lab.is_refused(&lab.caller(Family::V6)?)?;
    }
    let queues = redirected_by_queue(&lab)?;
    assert_eq!(queues.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert!(queues.values().all(|count| *count > 0), "all on one queue: {queues:?}");
    assert_eq!(queues.values().sum::<u64>(), 64);
    assert_eq!(lab.filter.stats()?.responder("answered")?, 64);
    Ok(())
}
