//! One RX queue from outside its responder thread: starting it, asking about it, ending it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use filter_common::maps::{QueueKey, QueueState};
use xdp::socket::XdpSocket;

use super::interface::Interface;
use super::status::{QueueStatus, SocketMode};
use super::{Error, Options, Program, affinity};
use crate::panic;
use crate::responder::{BusyPoll, Counters, Lease, OpenError, Polled, QueueSocket, RefusalLog, Worker, monotonic_ns};
use filter_reply::ReplyTemplate;

/// A queue with its responder.
pub(super) struct Queue {
    interface: String,
    key: QueueKey,
    zero_copy: bool,
    /// The CPU that its thread is kept on.
    cpu: Option<usize>,
    /// Zero: its driver is not polled.
    busy_poll: Duration,
    socket: Arc<XdpSocket>,
    counters: Arc<Counters>,
    leases: aya::maps::HashMap<aya::maps::MapData, QueueKey, QueueState>,
    /// `None` once its end has been seen.
    thread: Option<JoinHandle<io::Result<()>>>,
    /// Why the thread has ended by itself.
    end: Option<String>,
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
        let cpu = options.cpus.as_ref().map(|cpus| cpus.for_thread(slot as usize));
        let socket = open(interface, queue, cpu, options)?;
        program.set_socket(slot, &*socket.socket())?;
        let key = QueueKey { ifindex: interface.ifindex, queue };
        let mut this = Self {
            interface: interface.name.clone(),
            key,
            zero_copy: options.zero_copy,
            cpu,
            busy_poll: options.busy_poll,
            socket: socket.socket(),
            counters: Arc::default(),
            leases: program.queues()?,
            thread: None,
            end: None,
        };
        let lease = Lease::new(program.queues()?, key, slot, options.lease);
        let busy_poll = BusyPoll::new(options.busy_poll);
        let counters = Arc::clone(&this.counters);
        let worker = Worker { socket, lease, busy_poll, mtu, template, counters, log, stop };
        let thread = std::thread::Builder::new()
            .name(format!("{}/{queue}", interface.name))
            .spawn(move || {
                cpu.map_or(Ok(()), affinity::keep_on)?;
                worker.run()
            })
            .map_err(|source| Error::Thread { interface: interface.name.clone(), queue, source })?;
        this.thread = Some(thread);
        Ok(this)
    }

    pub(super) fn status(&self) -> QueueStatus {
        QueueStatus {
            queue: self.key.queue,
            socket: if self.zero_copy { SocketMode::ZeroCopy } else { SocketMode::Copy },
            cpu: self.cpu,
            busy_poll: (!self.busy_poll.is_zero()).then(|| Polled::of(&*self.socket)).flatten(),
            lease_remaining_ms: self.lease_remaining_ms(),
            answered: self.counters.answered(),
            unanswered: self.counters.unanswered().map(|(reason, count)| (reason.name().to_owned(), count)).collect(),
            lost: self.lost(),
            send_errors: self.counters.send_errors(),
            frames: self.counters.frames(),
        }
    }

    /// Where its thread is kept, for the log.
    pub(super) fn placement(&self) -> Option<String> {
        self.cpu.map(|cpu| format!("queue {} on CPU {cpu}", self.key.queue))
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

    /// Returns why the thread has ended by itself, if it has. Each call reports it again.
    pub(super) fn failure(&mut self) -> Option<Error> {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            self.end = Some(end_of(thread).unwrap_or_else(|| "it returned".to_owned()));
        }
        self.end.clone().map(|reason| self.stopped(reason))
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

/// Opens the socket, on the CPU of its thread if there is one: a UMEM lies on the NUMA node on which it is registered.
fn open(interface: &Interface, queue: u32, cpu: Option<usize>, options: &Options) -> Result<QueueSocket, Error> {
    let open = || QueueSocket::open(interface.ifindex, queue, options.zero_copy, options.busy_poll);
    let pin_error = |source| Error::Pin { interface: interface.name.clone(), queue, source };
    let opened = match cpu {
        Some(cpu) => affinity::on(cpu, open).map_err(pin_error)?,
        None => open(),
    };
    opened.map_err(|error| socket_error(&interface.name, queue, options.zero_copy, error))
}

/// Waits for a thread and says what it failed with.
fn end_of(thread: JoinHandle<io::Result<()>>) -> Option<String> {
    match thread.join() {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => Some(format!("it panicked: {}", panic::message(&*panic))),
    }
}

fn socket_error(interface: &str, queue: u32, zero_copy: bool, error: OpenError) -> Error {
    let hint = match error.os_error() {
        Some(libc::EPERM | libc::EACCES) => "; it takes root, or CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF",
        Some(libc::ENOPROTOOPT) => "; this kernel has no busy polling (CONFIG_NET_RX_BUSY_POLL), leave out --busy-poll",
        Some(libc::EBUSY) => "; another AF_XDP program has the queue",
        Some(libc::ENOBUFS) => "; raise the limit on locked memory (`LimitMEMLOCK=infinity` in the systemd unit)",
        Some(libc::EAFNOSUPPORT) => {
            "; RestrictAddressFamilies= in the systemd unit must name AF_XDP, or the kernel has none"
        }
        Some(libc::EOPNOTSUPP | libc::EINVAL) if zero_copy => "; the driver cannot do zero-copy, leave out --zero-copy",
        _ => "",
    };
    Error::Socket { interface: interface.to_owned(), queue, source: error.into(), hint }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rstest::rstest;

    use super::{OpenError, socket_error};

    #[rstest]
    #[case::not_built_in(libc::ENOPROTOOPT, "leave out --busy-poll")]
    #[case::not_allowed(libc::EPERM, "CAP_NET_ADMIN")]
    fn an_option_that_is_refused_is_told_with_its_queue(#[case] errno: i32, #[case] hint: &str) {
        let (step, source) = ("setsockopt(SO_PREFER_BUSY_POLL)", io::Error::from_raw_os_error(errno));
        let error = socket_error("eth0", 3, false, OpenError::Kernel { step, source }).to_string();
        for word in ["interface eth0, queue 3", "SO_PREFER_BUSY_POLL", hint] {
            assert!(error.contains(word), "{error}");
        }
    }
}
