//! The data plane: the XDP program on the interfaces, and a responder for each of their RX queues.
//!
//! Start: program, sockets, threads, policy; the program is attached last. Stop: it is detached first.
//!
//! The methods block on system calls and on threads. They can be called from any thread, and [`DataPlane::apply`] never
//! waits for [`DataPlane::status`].

mod affinity;
mod attachment;
pub mod cpus;
mod error;
pub(crate) mod ethtool;
mod interface;
mod interfaces;
pub(crate) mod kernel;
mod kernel_log;
mod kernel_policy;
mod list_maps;
mod lists;
mod load_error;
mod logs;
mod map;
pub(crate) mod native_mtu;
mod options;
pub(crate) mod ownership;
mod ownership_maps;
mod prefix_map;
mod problems;
mod program;
mod queue;
mod slots;
mod status;
mod switch_steps;
mod targets;
mod tick;
mod view;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

pub use attachment::Attachment;
pub use error::Error;
pub use kernel::check as check_kernel;
pub use list_maps::ListMaps;
pub use lists::Lists;
pub use load_error::LoadError;
pub use options::{Mode, Options};
pub use ownership::Ownership;
pub use ownership_maps::OwnershipMaps;
pub use program::{Program, ProgramSettings, VerdictCounters};
pub use status::{AttachMode, Counters, InterfaceStatus, PlaneStatus, QueueStatus, SocketMode};
pub(crate) use targets::{Meaning, Target, Targets};

use crate::domain::{Alarms, Policy, Raised, Subject};
use interfaces::Interfaces;
use kernel_policy::KernelPolicy;
use logs::Logs;
use tick::Evidence;
use view::View;

/// The running data plane. Dropping it stops it as [`DataPlane::stop`] does, and ignores errors.
pub struct DataPlane {
    /// Dropped first, which detaches the program and ends the responders. Locked by each tick, which may take seconds
    /// while the program is attached to a NIC.
    interfaces: Mutex<Interfaces>,
    /// Locked while a policy is put in force, and for a moment by each tick.
    kernel: Mutex<KernelPolicy>,
    /// Read without a lock.
    verdicts: Arc<VerdictCounters>,
    /// Read without a lock.
    view: Arc<ArcSwap<View>>,
    alarms: Mutex<Alarms>,
    evidence: Mutex<Evidence>,
    /// Dropped after the responders, which write to them.
    logs: Mutex<Logs>,
    stopped: AtomicBool,
}

impl DataPlane {
    /// Starts everything, with `policy` in force from the first packet on.
    ///
    /// Blocks for some hundred milliseconds, and until interfaces that lose their carrier by it have it again.
    pub fn start(options: &Options, policy: &Arc<Policy>) -> Result<Self, Error> {
        if let Some(cpus) = &options.cpus {
            affinity::check(cpus)?;
        }
        let mut program = Program::load(&ProgramSettings {
            ports: &options.ports,
            transactions: options.transactions,
            hash_seed: options.tag.hash_seed(),
            shielded: &options.shielded,
            debug: options.debug,
        })?;
        let (program_id, _) = program.info()?;
        let descriptor = program.descriptor()?;
        let verdicts = program.verdicts();
        let logs = Logs::start(program.ebpf(), options.debug);
        let mut kernel = KernelPolicy::new(program, policy, options.tag, options.force_rport);
        let mut interfaces = Interfaces::start(options, &mut kernel, (descriptor, program_id), logs.refusals())?;
        kernel.apply(policy)?;
        interfaces.attach()?;
        Ok(Self {
            view: interfaces.view(),
            interfaces: Mutex::new(interfaces),
            kernel: Mutex::new(kernel),
            evidence: Mutex::new(Evidence::new(&verdicts)?),
            verdicts,
            alarms: Mutex::default(),
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

    /// Returns the interfaces, their queues and all counters. After [`stop`](Self::stop), the status has no interfaces.
    ///
    /// The XDP program is read last. So while calls arrive, it has redirected more than the responders have counted.
    pub fn status(&self) -> Result<PlaneStatus, Error> {
        let view = self.view.load();
        let interfaces = view.status();
        if interfaces.is_empty() && self.stopped.load(Ordering::SeqCst) {
            return Ok(PlaneStatus::default());
        }
        let mut responder = view.retired.clone();
        interfaces.iter().flat_map(|interface| &interface.queues).for_each(|queue| responder.add(queue));
        let verdicts = self.verdicts.read()?;
        let verdicts = verdicts.into_iter().map(|(verdict, packets)| (verdict.name().to_owned(), packets)).collect();
        Ok(PlaneStatus { counters: Counters { verdicts, responder: responder.into_map() }, interfaces })
    }

    /// Returns the alarms that are raised, each of which keeps calls from being refused.
    ///
    /// Leases are as they are now, all else as of the last tick.
    pub fn alarms(&self) -> Vec<Raised> {
        let view = self.view.load();
        let mut current = view.alarms.clone();
        if !self.stopped.load(Ordering::SeqCst) {
            current.extend(view.queue_alarms());
            current.extend(lock(&self.evidence).alarms(&view));
        }
        let mut alarms = lock(&self.alarms);
        alarms.set(Subject::DataPlane, current);
        alarms.raised().to_vec()
    }

    /// Detaches the program, lets the responders answer the requests that they have, and ends all threads.
    ///
    /// From its beginning on, all new calls pass. Returns the first error of a responder. A second call does nothing.
    pub fn stop(&self) -> Result<(), Error> {
        if !self.stopped.swap(true, Ordering::SeqCst)
            && let Err(error) = lock(&self.kernel).pass_all()
        {
            tracing::warn!("new calls are refused until the XDP program is detached: {error}");
        }
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
