//! The responder thread of one RX queue: receives what the XDP program redirects, sends the replies, renews the lease.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use xdp::Packet;
use xdp::slab::{HeapSlab, Slab as _};

use super::counters::Counters;
use super::lease::Lease;
use super::socket::{BATCH, QueueSocket};
use super::{ReplyTemplate, answer};
use crate::refusal_log::RefusalLog;

/// What a responder thread works with.
pub(crate) struct Worker {
    pub(crate) socket: QueueSocket,
    pub(crate) lease: Lease,
    /// The MTU of the interface, in octets: it may change while the thread runs.
    pub(crate) mtu: Arc<AtomicUsize>,
    pub(crate) template: Arc<ArcSwap<ReplyTemplate>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Arc<RefusalLog>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Worker {
    /// Works until it is told to stop, or the socket fails. What has been received by then is still answered.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut template = Cache::new(Arc::clone(&self.template));
        let mut requests = HeapSlab::with_capacity(BATCH);
        let mut replies = HeapSlab::with_capacity(BATCH);
        let result = loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            let received = self.round(template.load(), &mut requests, &mut replies);
            if received > 0 {
                // As long as there is work, the lease is looked at between batches.
                if let Err(error) = self.keep_lease() {
                    break Err(error);
                }
                continue;
            }
            if stopping {
                break Ok(());
            }
            if let Err(error) = self.keep_lease().and_then(|()| self.socket.wait(self.idle_time())) {
                break Err(error);
            }
        };
        // From here on the queue passes everything, at once and not only when the lease runs out.
        self.lease.give_up();
        result
    }

    /// One batch, from the RX ring to the wire. Returns how many requests it had.
    fn round(&mut self, template: &ReplyTemplate, requests: &mut HeapSlab, replies: &mut HeapSlab) -> usize {
        // SAFETY: the packets are all given back to the socket, or sent by it, before the end of this function, and
        // `requests` and `replies` are empty then.
        let received = unsafe { self.socket.receive(requests) };
        while let Some(request) = requests.pop_back() {
            // SAFETY: see above.
            if let Some(mut reply) = unsafe { self.socket.allocate() } {
                if self.answer(&request, &mut reply, template) {
                    replies.push_front(reply);
                } else {
                    self.socket.free(reply);
                }
            }
            self.socket.free(request);
        }
        self.socket.send(replies);
        if self.socket.flush().is_err() {
            self.counters.count_send_error();
        }
        if self.socket.refill().is_err() {
            self.counters.count_send_error();
        }
        self.counters.set_frames(self.socket.frames());
        received
    }

    /// Makes the reply to `request`. Whether there is one.
    fn answer(&self, request: &Packet, reply: &mut Packet, template: &ReplyTemplate) -> bool {
        let capacity = reply.capacity();
        if reply.adjust_tail(capacity as i32).is_err() {
            return false;
        }
        match answer(request, self.mtu.load(Ordering::Relaxed), reply, template) {
            Ok(answer) => {
                self.counters.count_answered();
                self.log.record(&answer.summary);
                reply.adjust_tail(answer.len as i32 - capacity as i32).is_ok()
            }
            Err(reason) => {
                self.counters.count_refused(reason);
                false
            }
        }
    }

    /// Renews the lease when it is time to, but only if a packet that is redirected now can be answered.
    fn keep_lease(&mut self) -> io::Result<()> {
        if self.socket.has_room() { self.lease.renew(Instant::now()) } else { Ok(()) }
    }

    /// How long to wait for packets: until the lease has to be renewed, or shortly while replies are still to go out.
    fn idle_time(&self) -> Duration {
        if self.socket.frames().sending > 0 { Duration::from_millis(1) } else { self.lease.renewal_interval() }
    }
}
