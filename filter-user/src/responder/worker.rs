//! The responder thread of one RX queue: receives what the XDP program redirects, sends the replies, renews the lease.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use xdp::Packet;
use xdp::slab::{HeapSlab, Slab as _};

use super::busy_poll::BusyPoll;
use super::counters::Counters;
use super::lease::Lease;
use super::prefetch::prefetch;
use super::socket::{BATCH, QueueSocket};
use crate::responder::RefusalLog;
use filter_reply::{ResponseTemplate, Unanswered, respond};

/// What a responder thread works with.
pub(crate) struct Worker {
    pub(crate) socket: QueueSocket,
    pub(crate) lease: Lease,
    pub(crate) busy_poll: BusyPoll,
    /// The MTU of the interface, in octets: it may change while the thread runs.
    pub(crate) mtu: Arc<AtomicUsize>,
    pub(crate) template: Arc<ArcSwap<ResponseTemplate>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Arc<RefusalLog>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// The packets of a round, on their way from ring to ring.
struct Batch {
    /// Requests that have been received.
    requests: HeapSlab,
    /// Requests that have been answered, or never will be.
    read: HeapSlab,
    /// Replies to be sent.
    replies: HeapSlab,
}

impl Batch {
    fn new() -> Self {
        let [requests, read, replies] = [(); 3].map(|()| HeapSlab::with_capacity(BATCH));
        Self { requests, read, replies }
    }

    /// Takes a request, and has the CPU fetch it while the one before it is answered.
    fn take(&mut self) -> Option<Packet> {
        self.requests.pop_back().inspect(|request| prefetch(request))
    }
}

impl Worker {
    /// Works until it is told to stop, or the socket fails. What has been received by then is still answered.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut template = Cache::new(Arc::clone(&self.template));
        let mut batch = Batch::new();
        let result = loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            let received = self.round(template.load(), &mut batch);
            if received > 0 {
                self.busy_poll.extend(Instant::now());
                // As long as there is work, the lease is looked at between batches.
                if let Err(error) = self.keep_lease(&mut batch) {
                    break Err(error);
                }
                continue;
            }
            if stopping {
                break Ok(());
            }
            if let Err(error) = self.keep_lease(&mut batch).and_then(|()| self.wait()) {
                break Err(error);
            }
        };
        // From here on the queue passes everything, at once and not only when the lease runs out.
        self.lease.give_up();
        result
    }

    /// One batch, from the RX ring to the wire. Returns how many requests it had.
    fn round(&mut self, template: &ResponseTemplate, batch: &mut Batch) -> usize {
        // SAFETY: the packets are all given back to the socket, or sent by it, before the end of this function, and
        // `batch` is empty then.
        let received = unsafe { self.socket.receive(&mut batch.requests) };
        if received > 0 && !self.lease.holds(Instant::now()) {
            return received + self.discard_late(batch);
        }
        let mut next = batch.take();
        while let Some(request) = next {
            next = batch.take();
            // SAFETY: see above.
            if let Some(mut reply) = unsafe { self.socket.allocate() } {
                if self.answer(&request, &mut reply, template) {
                    batch.replies.push_front(reply);
                } else {
                    self.socket.free(reply);
                }
            } else {
                self.counters.count_unanswered(Unanswered::Unsent, 1);
            }
            batch.read.push_front(request);
        }
        self.send(batch);
        received
    }

    /// Throws away what is in the RX ring, all of which came before the lease ran out. Returns how many requests it were.
    ///
    /// The thread has been stopped for a while. Since the lease ran out, requests have gone to the proxy, retransmissions
    /// of these among them: a second, different answer would make ghosts of calls that are up (RFC 3261 section 16.11).
    fn discard_late(&mut self, batch: &mut Batch) -> usize {
        let mut more = 0;
        loop {
            while let Some(request) = batch.requests.pop_back() {
                self.counters.count_unanswered(Unanswered::Late, 1);
                self.socket.free(request);
            }
            // SAFETY: the packets are given back in the next turn of this loop.
            let received = unsafe { self.socket.receive(&mut batch.requests) };
            if received == 0 {
                break;
            }
            more += received;
        }
        self.keep_rings_going(&mut batch.read);
        more
    }

    /// Sends replies, unless making them has taken until after the end of the lease.
    fn send(&mut self, batch: &mut Batch) {
        let made = batch.replies.len();
        if made > 0 && !self.lease.holds(Instant::now()) {
            self.counters.count_unanswered(Unanswered::Late, made as u64);
            while let Some(reply) = batch.replies.pop_back() {
                self.socket.free(reply);
            }
        } else {
            let queued = self.socket.send(&mut batch.replies);
            self.counters.count_answered(queued as u64);
            self.counters.count_unanswered(Unanswered::Unsent, (made - queued) as u64);
        }
        self.keep_rings_going(&mut batch.read);
    }

    /// Has the kernel send what is to be sent, and gives it frames to receive into: those of the requests that were `read`.
    ///
    /// The frame freed last is the next to be used. So these are freed after those of the replies that have gone out, and right
    /// before the kernel gets frames: a frame then stays one for requests, which the CPU of the queue writes, or one for replies,
    /// which is still in this CPU's cache and not in that one's.
    fn keep_rings_going(&mut self, read: &mut HeapSlab) {
        if self.socket.flush().is_err() {
            self.counters.count_send_error();
        }
        while let Some(request) = read.pop_back() {
            self.socket.free(request);
        }
        if self.socket.refill().is_err() {
            self.counters.count_send_error();
        }
        self.counters.set_frames(self.socket.frames());
    }

    /// Makes the reply to `request`. Whether there is one.
    fn answer(&self, request: &Packet, reply: &mut Packet, template: &ResponseTemplate) -> bool {
        let capacity = reply.capacity();
        if reply.adjust_tail(capacity as i32).is_err() {
            self.counters.count_unanswered(Unanswered::TooLong, 1);
            return false;
        }
        match respond(request, self.mtu.load(Ordering::Relaxed), reply, template) {
            Ok(response) => {
                self.log.record(&response.summary);
                // Shorter than the frame, whose capacity it has been: this cannot fail.
                reply.adjust_tail(response.len as i32 - capacity as i32).is_ok()
            }
            Err(reason) => {
                self.counters.count_unanswered(reason, 1);
                false
            }
        }
    }

    /// Renews the lease when it is time to, but only if a packet that is redirected now can be answered.
    ///
    /// One that has run out is a new lease: what came under the old one must not be taken for what comes under it.
    fn keep_lease(&mut self, batch: &mut Batch) -> io::Result<()> {
        if !self.lease.holds(Instant::now()) {
            self.discard_late(batch);
        }
        if self.socket.has_room() { self.lease.renew(Instant::now()) } else { Ok(()) }
    }

    /// Waits for packets: awake while the last ones are not long ago, if that was asked for, and else asleep.
    fn wait(&self) -> io::Result<()> {
        // An error is for the other way of waiting to judge: of an interface that is down there will be more.
        if self.busy_poll.goes_on(Instant::now()) && self.socket.poll_driver().is_ok() {
            return Ok(());
        }
        self.socket.wait(self.idle_time())
    }

    /// How long to wait for packets: until the lease has to be renewed, or shortly while replies are still to go out.
    fn idle_time(&self) -> Duration {
        if self.socket.frames().sending > 0 { Duration::from_millis(1) } else { self.lease.renewal_interval() }
    }
}
