//! An RX queue as other threads see it: starts its responder thread, reports its state, and stops it.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;

use arc_swap::ArcSwap;
use aya::maps::{HashMap, MapData};
use filter_common::maps::{QueueKey, QueueState};
use filter_reply::ResponseTemplate;

use super::interface::Interface;
use super::status::{QueueStatus, SocketMode};
use super::{Error, Options, Program, affinity};
use crate::panic;
use crate::responder::{Counters, Lease, OpenError, QueueSocket, RefusalLog, Shared, Worker, monotonic_ns};
use crate::stoppable_thread::StoppableThread;

/// An RX queue with its responder thread. Dropping it stops the thread.
pub(super) struct Queue {
    interface: String,
    key: QueueKey,
    zero_copy: bool,
    /// CPU to which the thread is pinned.
    cpu: Option<usize>,
    counters: Arc<Counters>,
    leases: HashMap<MapData, QueueKey, QueueState>,
    thread: StoppableThread<io::Result<()>>,
    /// Reason why the thread has ended by itself.
    end: Option<String>,
}

/// The parameters of [`Queue::start`].
pub(super) struct Start<'a> {
    pub(super) interface: &'a Interface,
    pub(super) queue: u32,
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
        let Start { interface, queue, slot, options, template, log, mtu } = start;
        let cpu = options.cpus.as_ref().map(|cpus| cpus.for_thread(slot as usize));
        let socket = open(interface, queue, cpu, options)?;
        program.set_socket(slot, &socket.as_fd())?;
        let key = QueueKey { ifindex: interface.ifindex, queue };
        let lease = Lease::new(program.queues()?, key, slot, options.lease);
        let counters = Arc::<Counters>::default();
        let shared = Shared { mtu, template, counters: Arc::clone(&counters), log };
        let worker = Worker::new(socket, lease, options.busy_poll, shared);
        let leases = program.queues()?;
        let thread = StoppableThread::spawn(format!("{}/{queue}", interface.name), move |stop| {
            cpu.map_or(Ok(()), affinity::pin_current_thread)?;
            worker.run(stop)
        })
        .map_err(|source| Error::Thread { interface: interface.name.clone(), queue, source })?;
        Ok(Self {
            interface: interface.name.clone(),
            key,
            zero_copy: options.zero_copy,
            cpu,
            counters,
            leases,
            thread,
            end: None,
        })
    }

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

    fn lease_remaining_ms(&self) -> Option<u64> {
        let until = self.leases.get(&self.key, 0).ok()?.redirect_until_ns;
        let remaining = until.checked_sub(monotonic_ns().ok()?)?;
        Some(remaining / 1_000_000)
    }

    /// Returns the error of the thread if it has ended by itself. Each call reports it again.
    pub(super) fn failure(&mut self) -> Option<Error> {
        if self.thread.is_finished()
            && let Some(result) = self.thread.join()
        {
            self.end = Some(failure_reason(result).unwrap_or_else(|| "it returned".to_owned()));
        }
        self.end.clone().map(|reason| self.stopped(reason))
    }

    /// Asks the thread to stop. Does not wait for it.
    pub(super) fn request_stop(&self) {
        self.thread.request_stop();
    }

    /// Stops the thread and waits for it. Returns its error, if it failed.
    pub(super) fn join(mut self) -> Option<Error> {
        let reason = failure_reason(self.thread.join()?)?;
        Some(self.stopped(reason))
    }

    fn stopped(&self, reason: String) -> Error {
        Error::ResponderStopped { interface: self.interface.clone(), queue: self.key.queue, reason }
    }
}

/// Opens the socket. If the thread will be pinned, this runs on its CPU: a UMEM is on the NUMA node where it is
/// registered.
fn open(interface: &Interface, queue: u32, cpu: Option<usize>, options: &Options) -> Result<QueueSocket, Error> {
    let open = || QueueSocket::open(interface.ifindex, queue, options.zero_copy, options.busy_poll);
    let pin_error = |source| Error::Pin { interface: interface.name.clone(), queue, source };
    let opened = match cpu {
        Some(cpu) => affinity::run_pinned(cpu, open).map_err(pin_error)?,
        None => open(),
    };
    opened.map_err(|error| socket_error(&interface.name, queue, options.zero_copy, error))
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
