//! The data plane: the XDP program on the interfaces, and a responder for each of their RX queues.
//!
//! Start: program, sockets, threads, policy; the program is attached last. Stop: it is detached first.
//!
//! The methods block on system calls and on threads. They can be called from any thread, and [`DataPlane::apply`] never
//! waits for [`DataPlane::status`].

mod affinity;
mod attached;
mod attachment;
pub mod cpus;
mod error;
pub(crate) mod ethtool;
pub(crate) mod interface;
pub(crate) mod kernel;
mod kernel_log;
mod kernel_policy;
mod load_error;
mod logs;
mod options;
mod program;
mod queue;
mod status;
mod tick;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use attached::check_number_of_queues;
pub use attachment::Attachment;
pub use error::Error;
pub use kernel::check as check_kernel;
pub use load_error::LoadError;
pub use options::{Mode, Options};
pub use program::{Program, ProgramSettings, VerdictCounters};
pub use status::{AttachMode, Counters, InterfaceStatus, PlaneStatus, QueueStatus, SocketMode};

use crate::domain::Policy;
use attached::{AttachedInterfaces, find_interfaces};
use kernel_policy::KernelPolicy;
use logs::Logs;

/// The running data plane. Dropping it stops it as [`DataPlane::stop`] does, and ignores errors.
pub struct DataPlane {
    /// Dropped first, which detaches the program and ends the responders.
    interfaces: Mutex<AttachedInterfaces>,
    /// Locked while a policy is put in force, and for a moment by each tick.
    kernel: Mutex<KernelPolicy>,
    /// Read without a lock.
    verdicts: Arc<VerdictCounters>,
    /// Id of the program, by which it is recognised on the interfaces.
    program_id: u32,
    /// Dropped after the responders, which write to them.
    logs: Mutex<Logs>,
    stopped: AtomicBool,
}

impl DataPlane {
    /// Starts everything, with `policy` in force from the first packet on. Blocks for some hundred milliseconds.
    pub fn start(options: &Options, policy: &Arc<Policy>) -> Result<Self, Error> {
        let interfaces = find_interfaces(&options.interfaces)?;
        if let Some(cpus) = &options.cpus {
            affinity::check(cpus)?;
        }
        let mut program = Program::load(&ProgramSettings {
            ports: &options.ports,
            transactions: options.transactions,
            hash_seed: options.tag.hash_seed(),
            debug: options.debug,
        })?;
        let (program_id, _) = program.info()?;
        let verdicts = program.verdicts();
        let logs = Logs::start(program.ebpf(), options.debug);
        let mut kernel = KernelPolicy::new(program, policy, options.tag);
        let mut interfaces = AttachedInterfaces::start(interfaces, &mut kernel, options, logs.refusals())?;
        kernel.apply(policy)?;
        interfaces.attach(&mut kernel, options)?;
        Ok(Self {
            interfaces: Mutex::new(interfaces),
            kernel: Mutex::new(kernel),
            verdicts,
            program_id,
            logs: Mutex::new(logs),
            stopped: AtomicBool::new(false),
        })
    }

    /// Puts `policy` in force. When it returns, the next packet is decided by it.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if the program has been detached meanwhile: nothing is in force then.
    pub fn apply(&self, policy: &Arc<Policy>) -> Result<(), Error> {
        self.check_running()?;
        lock(&self.kernel).apply(policy)?;
        // `stop` does not wait for this call, but sets its flag before it detaches.
        self.check_running()
    }

    /// Returns the interfaces, their queues and all counters. After [`stop`](Self::stop), the status is empty.
    ///
    /// The XDP program is read last. So while calls arrive, it has redirected more than the responders have counted.
    pub fn status(&self) -> Result<PlaneStatus, Error> {
        let interfaces = lock(&self.interfaces).status();
        if interfaces.is_empty() {
            return Ok(PlaneStatus::default());
        }
        Ok(PlaneStatus { counters: self.counters(&interfaces)?, interfaces })
    }

    /// Adds up the counters of the queues, and reads those of the XDP program.
    fn counters(&self, interfaces: &[InterfaceStatus]) -> Result<Counters, Error> {
        let verdicts = self.verdicts.read()?;
        let mut responder = BTreeMap::new();
        let mut add = |name: &str, count: u64| *responder.entry(name.to_owned()).or_insert(0) += count;
        for queue in interfaces.iter().flat_map(|interface| &interface.queues) {
            add("answered", queue.answered);
            add("lost", queue.lost);
            add("send_errors", queue.send_errors);
            queue.unanswered.iter().for_each(|(reason, count)| add(reason, *count));
        }
        let verdicts = verdicts.into_iter().map(|(verdict, packets)| (verdict.name().to_owned(), packets)).collect();
        Ok(Counters { verdicts, responder })
    }

    /// Detaches the program, lets the responders answer the requests that they have, and ends all threads.
    ///
    /// Returns the first error of a responder. A second call does nothing.
    pub fn stop(&self) -> Result<(), Error> {
        self.stopped.store(true, Ordering::SeqCst);
        let stopped = lock(&self.interfaces).stop();
        lock(&self.logs).stop();
        stopped
    }

    fn check_running(&self) -> Result<(), Error> {
        if self.stopped.load(Ordering::SeqCst) { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// Locks a mutex, even if a panic has poisoned it, because the daemon still has to detach.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
