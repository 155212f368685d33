//! Access of the end-to-end tests to the kernel's side of a running daemon: policy and leases, as the XDP program reads
//! them.
//!
//! Here the time is a value: a test compares a deadline, or moves it into the past, instead of sleeping.

#![forbid(unsafe_code)]

pub mod raw;

use std::time::Duration;

use aya::maps::{Array, HashMap, Map, MapData, MapInfo};
use aya::programs::loaded_programs;
use filter_common::maps::{POLICY, Policy, QUEUES, QueueKey, QueueState};
use filter_lab::daemon::Daemon;
use filter_lab::failure::OrFail as _;
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{PROXY_INTERFACE, wait_until_down, wait_until_up};
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// Maximum time by which [`monotonic`] is behind the exact clock, which the daemon reads (10 ms at 100 Hz).
pub const CLOCK_TICK: Duration = Duration::from_millis(10);

/// Time within which a running daemon must renew its leases, and a lease must run out: several times the default lease.
const LEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes the proxy's interface down and up again. The daemon keeps running meanwhile, and renews its leases.
///
/// # Panics
///
/// Panics if the daemon ends, or if its responders make no progress while the interface is down.
#[track_caller]
pub fn interrupt_link(lab: &Lab, daemon: &mut Daemon) {
    let maps = DaemonMaps::open(lab);
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} down"));
    wait_until_down(&lab.inside, PROXY_INTERFACE);
    // The responder still runs if it renews its lease while the interface is down.
    maps.wait_for_lease_beyond(maps.lease_end());
    assert!(daemon.is_running(), "the daemon has ended: {}", lab.filter.log());
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} up"));
    wait_until_up(&lab.inside, PROXY_INTERFACE);
}

/// The maps of a daemon's XDP program.
pub struct DaemonMaps {
    policy: Array<MapData, Policy>,
    queues: HashMap<MapData, QueueKey, QueueState>,
}

impl DaemonMaps {
    /// Opens the maps of the program that the daemon of `lab` has attached.
    ///
    /// # Panics
    ///
    /// Panics if the daemon does not run, or the kernel does not have its program or its maps.
    #[track_caller]
    pub fn open(lab: &Lab) -> Self {
        let status = lab.filter.status();
        let id = status.pointer("/interfaces/0/program").and_then(Value::as_u64);
        let id = id.or_fail(format_args!("no id of the program in {status}"));
        let program = loaded_programs().flatten().find(|program| u64::from(program.id()) == id);
        let ids = program.or_fail(format_args!("no program {id} in the kernel")).map_ids();
        let ids = ids.or_fail("cannot get the maps of the program").or_fail("the kernel does not report maps");
        let find = |name: &str| {
            let named = |id: &u32| MapInfo::from_id(*id).is_ok_and(|info| info.name_as_str() == Some(name));
            let id = ids.iter().copied().find(named).or_fail(format_args!("the program has no map {name}"));
            MapData::from_id(id).or_fail(format_args!("cannot open the map {name}"))
        };
        Self {
            policy: Map::Array(find(POLICY)).try_into().or_fail("the map of the policy"),
            queues: Map::HashMap(find(QUEUES)).try_into().or_fail("the map of the queues"),
        }
    }

    /// Returns the policy.
    ///
    /// # Panics
    ///
    /// Panics if the map cannot be read.
    #[track_caller]
    pub fn policy(&self) -> Policy {
        self.policy.get(&0, 0).or_fail("cannot read the policy")
    }

    /// Replaces the policy. The daemon does not notice.
    ///
    /// # Panics
    ///
    /// Panics if the map cannot be written.
    #[track_caller]
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy.set(0, policy, 0).or_fail("cannot write the policy");
    }

    /// Returns the time of [`monotonic`] at which the first lease of a queue runs out.
    ///
    /// # Panics
    ///
    /// Panics if no queue has a lease.
    #[track_caller]
    pub fn lease_end(&self) -> Duration {
        let leases = self.queues.iter().map(|entry| entry.or_fail("cannot read the leases").1.redirect_until_ns);
        Duration::from_nanos(leases.min().or_fail("no queue has a lease"))
    }

    /// Waits until the daemon has renewed its leases to beyond `time`.
    ///
    /// # Panics
    ///
    /// Panics if the daemon does not.
    #[track_caller]
    pub fn wait_for_lease_beyond(&self, time: Duration) {
        wait::until("the leases to be renewed", LEASE_TIMEOUT, || self.lease_end() > time);
    }

    /// Waits until the leases that a stopped daemon has left behind have run out.
    ///
    /// # Panics
    ///
    /// Panics if they do not.
    #[track_caller]
    pub fn wait_for_lease_end(&self) {
        wait::until("the leases to run out", LEASE_TIMEOUT, || monotonic() >= self.lease_end());
    }
}

/// Returns the current time of the XDP program's clock, `bpf_ktime_get_coarse_ns()`.
///
/// # Panics
///
/// Panics if there is no such clock.
#[track_caller]
pub fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).or_fail("cannot read CLOCK_MONOTONIC_COARSE").into()
}
