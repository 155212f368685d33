//! The responder thread of an RX queue: receives redirected requests, sends responses, and renews the lease.

#![expect(unsafe_code, reason = "packets do not borrow from their socket, and must not outlive it")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use filter_reply::{ResponseTemplate, Unanswered, respond};
use xdp::Packet;
use xdp::slab::{HeapSlab, Slab as _};

use super::busy_poll::BusyPoll;
use super::counters::Counters;
use super::lease::Lease;
use super::prefetch::prefetch;
use super::refusal_log::RefusalLog;
use super::send_health::{Flushed, SendHealth};
use super::socket::{BATCH, QueueSocket};
use crate::stoppable_thread::StopFlag;

/// Minimum time between two publications of the socket's statistics, each of which takes a system call or more.
const STATISTICS_INTERVAL: Duration = Duration::from_millis(100);

/// The responder of a queue, with all that its thread owns or shares.
pub(crate) struct Worker {
    // Dropped first, so that after a panic no request is redirected to a socket that is being closed.
    lease: Lease,
    socket: QueueSocket,
    busy_poll: BusyPoll,
    statistics: StatisticsTimer,
    health: SendHealth,
    shared: Shared,
}

/// The state that a responder shares with other threads.
pub(crate) struct Shared {
    /// MTU of the interface in bytes, which may change while the thread runs.
    pub(crate) mtu: Arc<AtomicUsize>,
    pub(crate) template: Arc<ArcSwap<ResponseTemplate>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Arc<RefusalLog>,
}

/// The packets of a batch, on their way from ring to ring.
struct Batch {
    /// Received requests.
    requests: HeapSlab,
    /// Requests that have been handled.
    handled: HeapSlab,
    /// Responses to be sent.
    responses: HeapSlab,
}

impl Batch {
    fn new() -> Self {
        let [requests, handled, responses] = [(); 3].map(|()| HeapSlab::with_capacity(BATCH));
        Self { requests, handled, responses }
    }

    /// Takes a request, and prefetches it while the one before is handled.
    fn take(&mut self) -> Option<Packet> {
        self.requests.pop_back().inspect(|request| prefetch(request))
    }
}

/// The time of the next publication of the socket's statistics.
struct StatisticsTimer {
    next: Instant,
    /// True if packets have been received since the last publication.
    is_outdated: bool,
}

impl Worker {
    /// Creates the responder of a queue. `busy_poll` is the time after a packet for which it polls the driver.
    pub(crate) fn new(socket: QueueSocket, lease: Lease, busy_poll: Duration, shared: Shared) -> Self {
        let statistics = StatisticsTimer { next: Instant::now(), is_outdated: false };
        let (busy_poll, health) = (BusyPoll::new(busy_poll), SendHealth::default());
        let mut this = Self { lease, socket, busy_poll, statistics, health, shared };
        this.publish_statistics(Instant::now());
        this
    }

    /// Runs until the thread is stopped or the socket fails. Requests that have been received by then are answered.
    ///
    /// # Errors
    ///
    /// If the socket fails, or the lease cannot be renewed.
    pub(crate) fn run(mut self, stop: &StopFlag) -> io::Result<()> {
        let result = self.run_with_lease(stop);
        // From now on the queue passes everything, and does not wait for the lease to expire.
        self.lease.revoke();
        self.publish_statistics(Instant::now());
        result
    }

    fn run_with_lease(&mut self, stop: &StopFlag) -> io::Result<()> {
        let mut template = Cache::new(Arc::clone(&self.shared.template));
        let mut batch = Batch::new();
        loop {
            let is_stopping = stop.is_set();
            if self.handle_batch(template.load(), &mut batch) > 0 {
                // As long as there is work, leases and statistics are kept up to date between batches.
                let now = Instant::now();
                self.busy_poll.record_activity(now);
                self.statistics.is_outdated = true;
                self.keep_lease(&mut batch)?;
                self.publish_statistics_if_due(now);
            } else if is_stopping {
                return Ok(());
            } else {
                self.keep_lease(&mut batch)?;
                let now = Instant::now();
                self.publish_statistics_if_due(now);
                self.wait(now)?;
            }
        }
    }

    /// Moves a batch from the RX ring to the wire. Returns the number of requests.
    fn handle_batch(&mut self, template: &ResponseTemplate, batch: &mut Batch) -> usize {
        // SAFETY: the packets do not outlive the socket. Before this function returns, they are freed or handed to the
        // socket. If it unwinds, `batch`, which the caller borrowed from its own frame, is dropped before `self`.
        let received = unsafe { self.socket.receive(&mut batch.requests) };
        if received > 0 && !self.lease.is_valid(Instant::now()) {
            return received + self.discard_late(batch);
        }
        let mut next = batch.take();
        while let Some(request) = next {
            next = batch.take();
            // SAFETY: as above.
            if let Some(mut response) = unsafe { self.socket.allocate() } {
                if self.respond(&request, &mut response, template) {
                    batch.responses.push_front(response);
                } else {
                    self.socket.free(response);
                }
            } else {
                self.shared.counters.count_unanswered(Unanswered::Unsent, 1);
            }
            batch.handled.push_front(request);
        }
        self.send(batch);
        received
    }

    /// Discards all requests in the RX ring, which arrived before the lease expired. Returns the number of those that
    /// were still in the ring.
    ///
    /// The thread was suspended for some time. Since the lease expired, requests have passed to the proxy, among them
    /// retransmissions of these: a second and different final response could end an established call (RFC 3261 section
    /// 16.11).
    fn discard_late(&mut self, batch: &mut Batch) -> usize {
        let mut more = 0;
        loop {
            while let Some(request) = batch.requests.pop_back() {
                self.shared.counters.count_unanswered(Unanswered::Late, 1);
                self.socket.free(request);
            }
            // SAFETY: the packets are freed in the next iteration, see `handle_batch`.
            let received = unsafe { self.socket.receive(&mut batch.requests) };
            if received == 0 {
                break;
            }
            more += received;
        }
        self.service_rings(&mut batch.handled);
        more
    }

    /// Sends the responses, unless the lease has expired while they were written.
    fn send(&mut self, batch: &mut Batch) {
        let written = batch.responses.len();
        if written > 0 && !self.lease.is_valid(Instant::now()) {
            self.shared.counters.count_unanswered(Unanswered::Late, written as u64);
            while let Some(response) = batch.responses.pop_back() {
                self.socket.free(response);
            }
            self.service_rings(&mut batch.handled);
        } else {
            let queued = self.socket.send(&mut batch.responses) as u64;
            let dropped = self.service_rings(&mut batch.handled);
            // Those that were dropped are of this batch, unless the kernel has been late.
            let answered = queued.saturating_sub(dropped);
            self.shared.counters.count_answered(answered);
            self.shared.counters.count_unanswered(Unanswered::Unsent, written as u64 - answered);
        }
    }

    /// Has the kernel send, and gives it frames to receive into: those of the `handled` requests. Returns the number of
    /// responses that the kernel has dropped.
    ///
    /// The frame freed last is used next. So requests are freed after the responses that have been sent, and right
    /// before the kernel gets frames. A frame then keeps its use: for requests, written by the CPU of the queue, or for
    /// responses, which are in the cache of this CPU and not of that one.
    fn service_rings(&mut self, handled: &mut HeapSlab) -> u64 {
        let (flushed, result) = self.socket.flush();
        self.record(flushed, result.is_err());
        while let Some(request) = handled.pop_back() {
            self.socket.free(request);
        }
        if self.socket.refill().is_err() {
            self.shared.counters.count_send_errors(1);
        }
        self.shared.counters.set_frames(self.socket.frames());
        flushed.dropped
    }

    /// Records what a flush has sent, and gives up the lease if the kernel drops everything.
    fn record(&mut self, flushed: Flushed, has_failed: bool) {
        if flushed == Flushed::default() && !has_failed {
            return;
        }
        let counters = &self.shared.counters;
        counters.count_send_errors(flushed.dropped + u64::from(has_failed));
        if self.health.record(flushed, Instant::now()) {
            self.lease.revoke();
        }
        counters.set_cannot_send(self.health.has_failed());
    }

    /// Writes the response to `request`. Returns whether there is one.
    fn respond(&self, request: &Packet, response: &mut Packet, template: &ResponseTemplate) -> bool {
        let capacity = response.capacity();
        if response.adjust_tail(capacity as i32).is_err() {
            self.shared.counters.count_unanswered(Unanswered::TooLong, 1);
            return false;
        }
        match respond(request, self.shared.mtu.load(Ordering::Relaxed), response, template) {
            Ok(written) => {
                self.shared.log.record(&written.summary);
                // Never fails: the response is not longer than the frame.
                response.adjust_tail(written.len as i32 - capacity as i32).is_ok()
            }
            Err(reason) => {
                self.shared.counters.count_unanswered(reason, 1);
                false
            }
        }
    }

    /// Renews the lease if that is due, but only if a packet that is redirected now can be answered, as far as is
    /// known.
    ///
    /// After a lease has expired, the next one is a new lease: requests that arrived under the old one are discarded
    /// first.
    fn keep_lease(&mut self, batch: &mut Batch) -> io::Result<()> {
        if !self.lease.is_valid(Instant::now()) {
            self.discard_late(batch);
        }
        let now = Instant::now();
        if self.socket.has_room() && self.health.allows_lease(now) { self.lease.renew(now) } else { Ok(()) }
    }

    fn publish_statistics_if_due(&mut self, now: Instant) {
        if now >= self.statistics.next {
            self.publish_statistics(now);
        }
    }

    fn publish_statistics(&mut self, now: Instant) {
        self.statistics = StatisticsTimer { next: now + STATISTICS_INTERVAL, is_outdated: false };
        if let Some(lost) = self.socket.lost() {
            self.shared.counters.set_lost(lost);
        }
        if self.busy_poll.is_enabled()
            && let Some(polled) = self.socket.polled()
        {
            self.shared.counters.set_busy_poll(polled);
        }
    }

    /// Waits for packets: awake for some time after the last ones, if busy polling is enabled, and otherwise asleep.
    fn wait(&self, now: Instant) -> io::Result<()> {
        // Errors are left to `socket.wait`: while the interface is down, polling its driver fails.
        if self.busy_poll.is_active(now) && self.socket.poll_driver().is_ok() {
            return Ok(());
        }
        self.socket.wait(self.timeout(now))
    }

    /// Returns the maximum time to sleep: until the lease has to be renewed, or the statistics are due. Short while
    /// responses wait to be sent.
    fn timeout(&self, now: Instant) -> Duration {
        if self.socket.frames().sending > 0 {
            return Duration::from_millis(1);
        }
        let renewal = self.lease.renewal_interval();
        if self.statistics.is_outdated {
            // A millisecond more, because `poll` truncates to milliseconds.
            renewal.min(self.statistics.next.saturating_duration_since(now) + Duration::from_millis(1))
        } else {
            renewal
        }
    }
}
