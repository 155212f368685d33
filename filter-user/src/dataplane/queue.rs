//! An RX queue as other threads see it: starts its responder thread, reports its state, and stops it.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use aya::maps::{HashMap, MapData};
use filter_common::maps::{QueueKey, QueueState};
use filter_reply::ResponseTemplate;

use super::status::{QueueStatus, SocketMode};
use super::{Error, Options, Program, affinity};
use crate::domain::Alarm;
use crate::panic;
use crate::responder::{Counters, Lease, OpenError, QueueSocket, RefusalLog, Shared, Worker, monotonic_ns};
use crate::stoppable_thread::StoppableThread;

/// An RX queue with its responder thread. Dropping it stops the thread.
pub(super) struct Queue {
    /// Slot of the queue's socket in the XSKMAP.
    slot: u32,
    view: Arc<QueueView>,
    thread: StoppableThread<io::Result<()>>,
}

/// The state of an RX queue, which any thread can read at any time.
pub(super) struct QueueView {
    key: QueueKey,
    zero_copy: bool,
    /// CPU to which the thread is pinned.
    cpu: Option<usize>,
    counters: Arc<Counters>,
    leases: HashMap<MapData, QueueKey, QueueState>,
    started: Instant,
}

/// Time within which a responder has its first lease.
const START_TIMEOUT: Duration = Duration::from_secs(1);

/// The parameters of [`Queue::start`].
pub(super) struct Start<'a> {
    /// Name of the interface.
    pub(super) interface: &'a str,
    pub(super) key: QueueKey,
    /// Slot of the queue's socket in the XSKMAP.
    pub(super) slot: u32,
    pub(super) options: &'a Options,
    pub(super) template: Arc<ArcSwap<ResponseTemplate>>,
    pub(super) log: Arc<RefusalLog>,
    /// MTU of the interface in bytes.
    pub(super) mtu: Arc<AtomicUsize>,
}

impl Queue {
    /// Opens the socket, adds it to the XSKMAP, and starts the thread, which then owns the socket and renews the lease.
    pub(super) fn start(start: Start<'_>, program: &mut Program) -> Result<Self, Error> {
        let Start { interface, key, slot, options, template, log, mtu } = start;
        let QueueKey { queue, .. } = key;
        let cpu = options.cpus.as_ref().map(|cpus| cpus.for_thread(slot as usize));
        let socket = open(interface, key, cpu, options)?;
        program.set_socket(slot, &socket.as_fd())?;
        let lease = Lease::new(program.queues()?, key, slot, options.lease);
        let counters = Arc::<Counters>::default();
        let shared = Shared { mtu, template, counters: Arc::clone(&counters), log };
        let worker = Worker::new(socket, lease, options.busy_poll, shared);
        let leases = program.queues()?;
        let thread = StoppableThread::spawn(format!("{interface}/{queue}"), move |stop| {
            cpu.map_or(Ok(()), affinity::pin_current_thread)?;
            worker.run(stop)
        })
        .map_err(|source| Error::Thread { interface: interface.to_owned(), queue, source })?;
        let view =
            Arc::new(QueueView { key, zero_copy: options.zero_copy, cpu, counters, leases, started: Instant::now() });
        Ok(Self { slot, view, thread })
    }

    /// Returns the number of the queue.
    pub(super) fn number(&self) -> u32 {
        self.view.key.queue
    }

    /// Returns the slot of the queue's socket in the XSKMAP.
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    /// Returns the state of the queue.
    pub(super) fn view(&self) -> &Arc<QueueView> {
        &self.view
    }

    /// Returns the reason why the thread has ended by itself; `None` while it runs.
    pub(super) fn end(&mut self) -> Option<String> {
        if !self.thread.is_finished() {
            return None;
        }
        let result = self.thread.join()?;
        Some(failure_reason(result).unwrap_or_else(|| "it returned".to_owned()))
    }

    /// Asks the thread to stop. Does not wait for it.
    pub(super) fn request_stop(&self) {
        self.thread.request_stop();
    }

    /// Stops the thread and waits for it. Returns the reason why it failed, if it did.
    pub(super) fn join(mut self) -> Option<String> {
        failure_reason(self.thread.join()?)
    }
}

impl QueueView {
    /// Returns the state for `status`.
    pub(super) fn status(&self) -> QueueStatus {
        QueueStatus {
            queue: self.key.queue,
            socket: if self.zero_copy { SocketMode::ZeroCopy } else { SocketMode::Copy },
            cpu: self.cpu,
            busy_poll: self.counters.busy_poll(),
            lease_remaining_ms: self.lease_remaining_ms(),
            answered: self.counters.answered(),
            unanswered: self.counters.unanswered().map(|(reason, count)| (reason.name().to_owned(), count)).collect(),
            lost: self.counters.lost(),
            send_errors: self.counters.send_errors(),
            frames: self.counters.frames(),
        }
    }

    /// Returns the queue and its CPU for the log, if the thread is pinned.
    pub(super) fn placement(&self) -> Option<String> {
        self.cpu.map(|cpu| format!("queue {} on CPU {cpu}", self.key.queue))
    }

    /// Returns the alarm for a queue of `interface` whose calls are not refused now; `None` if they would be.
    pub(super) fn alarm(&self, interface: String) -> Option<Alarm> {
        let queue = self.key.queue;
        if self.counters.cannot_send() {
            return Some(Alarm::CannotSend { interface, queue });
        }
        // A responder that has just been started has no lease yet.
        let is_new = self.started.elapsed() < START_TIMEOUT;
        (!is_new && self.lease_remaining_ms().is_none()).then_some(Alarm::NoLease { interface, queue })
    }

    fn lease_remaining_ms(&self) -> Option<u64> {
        let until = self.leases.get(&self.key, 0).ok()?.redirect_until_ns;
        let remaining = until.checked_sub(monotonic_ns().ok()?)?;
        Some(remaining / 1_000_000)
    }
}

/// Opens the socket. If the thread will be pinned, this runs on its CPU: a UMEM is on the NUMA node where it is
/// registered.
fn open(interface: &str, key: QueueKey, cpu: Option<usize>, options: &Options) -> Result<QueueSocket, Error> {
    let QueueKey { ifindex, queue } = key;
    let open = || QueueSocket::open(ifindex, queue, options.zero_copy, options.busy_poll);
    let pin_error = |source| Error::Pin { interface: interface.to_owned(), queue, source };
    let opened = match cpu {
        Some(cpu) => affinity::run_pinned(cpu, open).map_err(pin_error)?,
        None => open(),
    };
    opened.map_err(|error| socket_error(interface, queue, options.zero_copy, error))
}

/// Returns the reason why a thread failed, if it did.
fn failure_reason(result: thread::Result<io::Result<()>>) -> Option<String> {
    match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => Some(format!("it panicked: {}", panic::message(&*panic))),
    }
}

fn socket_error(interface: &str, queue: u32, zero_copy: bool, error: OpenError) -> Error {
    let hint = match error.os_error() {
        Some(libc::EPERM | libc::EACCES) => "; run as root, or with CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF",
        Some(libc::ENOPROTOOPT) => "; this kernel has no busy polling (CONFIG_NET_RX_BUSY_POLL): leave out --busy-poll",
        Some(libc::EBUSY) => "; another AF_XDP program uses the queue",
        Some(libc::ENOBUFS) => "; raise the limit on locked memory (`LimitMEMLOCK=infinity` in the systemd unit)",
        Some(libc::EAFNOSUPPORT) => {
            "; the kernel has no AF_XDP, or RestrictAddressFamilies= in the systemd unit does not name it"
        }
        Some(libc::EOPNOTSUPP | libc::EINVAL) if zero_copy => {
            "; the driver does not support zero-copy: leave out --zero-copy"
        }
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
    fn error_of_a_rejected_socket_option_names_queue_option_and_remedy(#[case] errno: i32, #[case] hint: &str) {
        let (step, source) = ("setsockopt(SO_PREFER_BUSY_POLL)", io::Error::from_raw_os_error(errno));
        let error = socket_error("eth0", 3, false, OpenError::Kernel { step, source }).to_string();
        for word in ["interface eth0, queue 3", "SO_PREFER_BUSY_POLL", hint] {
            assert!(error.contains(word), "{error}");
        }
    }
}
