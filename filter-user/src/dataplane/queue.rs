//! One RX queue from outside its responder thread: starting it, asking about it, ending it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use filter_common::maps::{QueueKey, QueueState};
use serde::Serialize;
use xdp::socket::XdpSocket;

use super::interface::Interface;
use super::{Error, Options, Program};
use crate::refusal_log::RefusalLog;
use crate::responder::{Counters, Frames, Lease, OpenError, QueueSocket, ReplyTemplate, Worker, monotonic_ns};

/// A queue with its responder.
pub(super) struct Queue {
    interface: String,
    key: QueueKey,
    zero_copy: bool,
    socket: Arc<XdpSocket>,
    counters: Arc<Counters>,
    leases: aya::maps::HashMap<aya::maps::MapData, QueueKey, QueueState>,
    /// `None` once its end has been seen.
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What is known of a queue.
#[derive(Clone, Debug, Serialize)]
pub struct QueueStatus {
    /// Its number.
    pub queue: u32,
    /// How its AF_XDP socket is bound: `copy` or `zero-copy`.
    pub socket: &'static str,
    /// How much longer frames may be redirected, in milliseconds, if the lease is not renewed. `None`: it has run out, or
    /// there is none, so that everything passes.
    pub lease_remaining_ms: Option<u64>,
    /// Requests that have been answered.
    pub answered: u64,
    /// Requests that came and were not answered, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Requests that the socket had no room for: they are lost.
    pub lost: u64,
    /// Times that the kernel did not take replies at once.
    pub send_errors: u64,
    /// Where the frames of its UMEM are.
    pub frames: Frames,
}

/// What a queue is started with.
pub(super) struct Start<'a> {
    pub(super) interface: &'a Interface,
    pub(super) queue: u32,
    /// Its slot in the XSKMAP.
    pub(super) slot: u32,
    pub(super) options: &'a Options,
    pub(super) template: Arc<ArcSwap<ReplyTemplate>>,
    pub(super) log: Arc<RefusalLog>,
    pub(super) stop: Arc<AtomicBool>,
    /// The MTU of the interface, in octets.
    pub(super) mtu: Arc<AtomicUsize>,
}

impl Queue {
    /// Opens the socket, puts it into the XSKMAP, and starts the thread, which takes out the lease.
    pub(super) fn start(start: Start<'_>, program: &mut Program) -> Result<Self, Error> {
        let Start { interface, queue, slot, options, template, log, stop, mtu } = start;
        let zero_copy = options.zero_copy;
        let socket = QueueSocket::open(interface.ifindex, queue, zero_copy)
            .map_err(|error| socket_error(&interface.name, queue, zero_copy, &error))?;
        program.set_socket(slot, &*socket.socket())?;
        let key = QueueKey { ifindex: interface.ifindex, queue };
        let mut this = Self {
            interface: interface.name.clone(),
            key,
            zero_copy,
            socket: socket.socket(),
            counters: Arc::default(),
            leases: program.queues()?,
            thread: None,
        };
        let lease = Lease::new(program.queues()?, key, slot, options.lease);
        let worker = Worker { socket, lease, mtu, template, counters: Arc::clone(&this.counters), log, stop };
        let thread = std::thread::Builder::new()
            .name(format!("{}/{queue}", interface.name))
            .spawn(move || worker.run())
            .map_err(|source| Error::Thread { interface: interface.name.clone(), queue, source })?;
        this.thread = Some(thread);
        Ok(this)
    }

    pub(super) fn status(&self) -> QueueStatus {
        QueueStatus {
            queue: self.key.queue,
            socket: if self.zero_copy { "zero-copy" } else { "copy" },
            lease_remaining_ms: self.lease_remaining_ms(),
            answered: self.counters.answered(),
            refused: self.counters.refused().map(|(reason, count)| (reason.name(), count)).collect(),
            lost: self.lost(),
            send_errors: self.counters.send_errors(),
            frames: self.counters.frames(),
        }
    }

    fn lease_remaining_ms(&self) -> Option<u64> {
        let until = self.leases.get(&self.key, 0).ok()?.redirect_until_ns;
        let remaining = until.checked_sub(monotonic_ns().ok()?)?;
        Some(remaining / 1_000_000)
    }

    /// Packets that were redirected and that the socket had no room for: no frame in the fill ring, or the RX ring full.
    fn lost(&self) -> u64 {
        self.socket.statistics().map_or(0, |statistics| statistics.rx_dropped + statistics.rx_ring_full)
    }

    /// Why the thread has ended by itself, if it has. Says so once.
    pub(super) fn failure(&mut self) -> Option<Error> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            let reason = end_of(self.thread.take()?).unwrap_or_else(|| "it returned".to_owned());
            return Some(self.stopped(reason));
        }
        None
    }

    /// Waits for the thread, which has been told to stop. What it failed with, if it did.
    pub(super) fn join(mut self) -> Option<Error> {
        let reason = end_of(self.thread.take()?)?;
        Some(self.stopped(reason))
    }

    fn stopped(&self, reason: String) -> Error {
        Error::ResponderStopped { interface: self.interface.clone(), queue: self.key.queue, reason }
    }
}

/// Waits for a thread and says what it failed with.
fn end_of(thread: JoinHandle<io::Result<()>>) -> Option<String> {
    match thread.join() {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
            Some(format!("it panicked: {}", text.unwrap_or("without a message")))
        }
    }
}

/// The counters of several queues added up.
pub(super) fn total<'a>(queues: impl Iterator<Item = &'a Queue>) -> Vec<(&'static str, u64)> {
    let (mut answered, mut lost, mut send_errors) = (0, 0, 0);
    let mut refused = BTreeMap::new();
    for queue in queues {
        answered += queue.counters.answered();
        lost += queue.lost();
        send_errors += queue.counters.send_errors();
        for (reason, count) in queue.counters.refused() {
            *refused.entry(reason.name()).or_insert(0) += count;
        }
    }
    let mut total = vec![("answered", answered), ("lost", lost), ("send_errors", send_errors)];
    total.extend(refused);
    total
}

fn socket_error(interface: &str, queue: u32, zero_copy: bool, error: &OpenError) -> Error {
    let hint = match error.os_error() {
        Some(libc::EPERM | libc::EACCES) => "; it takes root, or CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF",
        Some(libc::EBUSY) => "; another AF_XDP program has the queue",
        Some(libc::ENOBUFS) => "; raise the limit on locked memory (`LimitMEMLOCK=infinity` in the systemd unit)",
        Some(libc::EAFNOSUPPORT) => {
            "; RestrictAddressFamilies= in the systemd unit must name AF_XDP, or the kernel has none"
        }
        Some(libc::EOPNOTSUPP | libc::EINVAL) if zero_copy => "; the driver cannot do zero-copy, leave out --zero-copy",
        _ => "",
    };
    Error::Socket { interface: interface.to_owned(), queue, reason: error.to_string(), hint }
}
