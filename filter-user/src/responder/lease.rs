//! The lease of a queue: the time until which the XDP program may redirect frames to the queue's responder.

use std::io;
use std::time::{Duration, Instant};

use aya::maps::{HashMap, MapData};
use filter_common::maps::{QueueKey, QueueState};
use nix::time::{ClockId, clock_gettime};

/// A queue's entry in the map of queues, which only the queue's responder thread writes.
///
/// Dropping a lease revokes it: after a panic of the thread, new calls reach the proxy at once.
pub(crate) struct Lease {
    queues: HashMap<MapData, QueueKey, QueueState>,
    queue: QueueKey,
    socket: u32,
    duration: Duration,
    next_renewal: Option<Instant>,
    /// End of the lease; `None` if it has never been renewed, or has been revoked.
    until: Option<Instant>,
}

impl Lease {
    /// Creates a lease that is not valid before it is renewed.
    ///
    /// `socket` is the slot of the queue's socket. `duration` is the time for which frames may be redirected after a
    /// renewal.
    pub(crate) fn new(
        queues: HashMap<MapData, QueueKey, QueueState>,
        queue: QueueKey,
        socket: u32,
        duration: Duration,
    ) -> Self {
        Self { queues, queue, socket, duration, next_renewal: None, until: None }
    }

    /// Extends the lease, if a renewal is due.
    pub(crate) fn renew(&mut self, now: Instant) -> io::Result<()> {
        if self.next_renewal.is_some_and(|next| now < next) {
            return Ok(());
        }
        let redirect_until_ns = monotonic_ns()?.saturating_add(self.duration.as_nanos() as u64);
        let state = QueueState { redirect_until_ns, socket: self.socket, reserved: 0 };
        self.queues.insert(self.queue, state, 0).map_err(io::Error::other)?;
        self.next_renewal = Some(now + self.renewal_interval());
        self.until = Some(now + self.duration);
        Ok(())
    }

    /// Returns whether the lease is still valid, so that no request has passed to the proxy since its renewal.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Ends the lease now.
    pub(crate) fn revoke(&mut self) {
        self.next_renewal = None;
        if self.until.take().is_some() {
            // If this fails, the lease expires.
            let _ = self.queues.remove(&self.queue);
        }
    }

    /// Returns the time between renewals: a quarter of the lease, so that a renewal may be late, as on a busy CPU.
    pub(crate) fn renewal_interval(&self) -> Duration {
        self.duration / 4
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.revoke();
    }
}

/// Returns the time in nanoseconds of the clock that `bpf_ktime_get_coarse_ns()` reads coarsely.
pub(crate) fn monotonic_ns() -> io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::{Duration, Instant};

    use aya::maps::{HashMap, MapData};
    use filter_common::maps::{QueueKey, QueueState};

    use super::Lease;
    use crate::dataplane::{Program, ProgramSettings};
    use crate::domain::Shielded;

    const QUEUE: QueueKey = QueueKey { ifindex: 7, queue: 3 };

    /// Returns a renewed lease of an hour, and the map that it is in.
    #[track_caller]
    fn renewed() -> (Lease, HashMap<MapData, QueueKey, QueueState>) {
        let shielded = &Shielded::Local;
        let settings = ProgramSettings { ports: &[5060], transactions: 1024, hash_seed: 0, shielded, debug: false };
        let program = Program::load(&settings)
            .unwrap_or_else(|error| panic!("{error}\nThis test loads a BPF program, for which it must run as root."));
        let queues = program.queues().unwrap();
        let mut lease = Lease::new(program.queues().unwrap(), QUEUE, 5, Duration::from_hours(1));
        assert!(!lease.is_valid(Instant::now()));
        lease.renew(Instant::now()).unwrap();
        assert!(lease.is_valid(Instant::now()));
        assert_eq!(queues.get(&QUEUE, 0).unwrap().socket, 5);
        (lease, queues)
    }

    #[test]
    fn revoked_lease_is_no_longer_in_the_map() {
        let (mut lease, queues) = renewed();
        lease.revoke();
        assert!(!lease.is_valid(Instant::now()));
        queues.get(&QUEUE, 0).unwrap_err();
    }

    #[test]
    fn panic_of_the_thread_with_the_lease_revokes_it() {
        let (lease, queues) = renewed();
        let work = move || {
            let _lease = lease;
            panic!("expected by the test");
        };
        assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        queues.get(&QUEUE, 0).unwrap_err();
    }
}
