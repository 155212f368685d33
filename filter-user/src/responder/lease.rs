//! The lease of a queue: until when the XDP program may redirect frames to the queue's responder.

use std::io;
use std::time::{Duration, Instant};

use aya::maps::{HashMap, MapData};
use filter_common::maps::{QueueKey, QueueState};
use nix::time::{ClockId, clock_gettime};

/// One queue's entry in the map of queues, written by the queue's responder thread and by nobody else.
pub(crate) struct Lease {
    queues: HashMap<MapData, QueueKey, QueueState>,
    queue: QueueKey,
    socket: u32,
    duration: Duration,
    next_renewal: Option<Instant>,
    /// Until when it is in force, if it ever was.
    until: Option<Instant>,
}

impl Lease {
    /// A lease that is not yet in force. `socket`: the slot of the queue's socket; `duration`: how long frames may be
    /// redirected after a renewal.
    pub(crate) fn new(
        queues: HashMap<MapData, QueueKey, QueueState>,
        queue: QueueKey,
        socket: u32,
        duration: Duration,
    ) -> Self {
        Self { queues, queue, socket, duration, next_renewal: None, until: None }
    }

    /// Extends the lease, if it is time to.
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

    /// Whether the lease is in force, so that no request has passed since it was renewed.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Ends the lease now.
    pub(crate) fn give_up(&mut self) {
        // If the entry is not there, or cannot be taken out, it runs out by itself.
        let _ = self.queues.remove(&self.queue);
        self.next_renewal = None;
    }

    /// A quarter of the lease: one renewal may be late, by a busy CPU say, without the lease running out.
    pub(crate) fn renewal_interval(&self) -> Duration {
        self.duration / 4
    }
}

/// The clock of `bpf_ktime_get_coarse_ns()`, exact.
pub(crate) fn monotonic_ns() -> io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}
