//! An interface that is served: its queues with their responders, and the program on it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use filter_common::maps::QueueKey;

use super::ethtool::Channels;
use super::kernel_policy::KernelPolicy;
use super::queue::{self, Queue, QueueView};
use super::slots::Slots;
use super::targets::Target;
use super::{Attachment, Error, Options, native_mtu};
use crate::network::{AttachMode, Device};
use crate::responder::RefusalLog;

/// Time after which an interface that lost its carrier when the program was attached or detached is no longer waited
/// for.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for which a NIC may take to report that it has lost its carrier.
const SETTLE_MIN: Duration = Duration::from_millis(100);

/// An interface that is served.
pub(super) struct Interface {
    /// The interface as it was last seen.
    pub(super) device: Device,
    /// Name of the bond or team that it is a port of, if `--iface` names that one.
    pub(super) bond: Option<String>,
    /// MTU in bytes, for the responders.
    mtu: Arc<AtomicUsize>,
    queues: Vec<Queue>,
    /// Number of RX queues of the interface.
    rx_queues: u32,
    /// Problem of a queue, if there is one.
    queue_problem: Option<Error>,
    /// `None` before the program is attached.
    attachment: Option<Attachment>,
    settling: Option<Settling>,
}

/// Waiting for the carrier of an interface, which some drivers reset when a program comes or goes.
#[derive(Clone, Copy, Debug)]
struct Settling {
    since: Instant,
}

/// The parts of the data plane that an interface needs to serve its queues.
pub(super) struct Means<'a> {
    pub(super) kernel: &'a mut KernelPolicy,
    pub(super) slots: &'a mut Slots,
    pub(super) options: &'a Options,
    pub(super) log: &'a Arc<RefusalLog>,
}

impl Interface {
    /// Starts a responder for each queue of the interface. The program is not attached yet.
    pub(super) fn start(target: Target, means: &mut Means<'_>) -> Result<Self, Error> {
        let Target { device, bond } = target;
        if let Some(program) = device.program {
            return Err(Error::occupied(&device.name, program));
        }
        let channels = Channels::of(&device)?;
        channels.check(&device.name)?;
        let mut this = Self {
            mtu: Arc::new(AtomicUsize::new(device.mtu as usize)),
            device,
            bond,
            queues: Vec::new(),
            rx_queues: channels.rx,
            queue_problem: None,
            attachment: None,
            settling: None,
        };
        if let Err(error) = this.start_missing_queues(means) {
            this.stop_queues(means.slots);
            return Err(error);
        }
        Ok(this)
    }

    /// Returns the name for messages: `eth0 (bond0)` for a port of a bond.
    pub(super) fn display_name(&self) -> String {
        match &self.bond {
            Some(bond) => format!("{} ({bond})", self.device.name),
            None => self.device.name.clone(),
        }
    }

    /// Returns the queues.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Arc<QueueView>> {
        self.queues.iter().map(Queue::view)
    }

    /// Returns the place in which the program runs; `None` if it is not attached.
    pub(super) fn mode(&self) -> Option<AttachMode> {
        self.attachment.as_ref().map(Attachment::mode)
    }

    /// Returns whether the program is attached.
    pub(super) fn is_attached(&self) -> bool {
        self.attachment.is_some()
    }

    /// Returns the problem of the interface that keeps calls on it from being refused, if there is one.
    pub(super) fn queue_problem(&self) -> Option<&Error> {
        self.queue_problem.as_ref()
    }

    /// Returns the largest MTU that the driver can handle while the program is attached, if the MTU is larger.
    pub(super) fn exceeded_mtu(&self) -> Option<u32> {
        if self.mode() != Some(AttachMode::Native) {
            return None;
        }
        native_mtu::limit(&self.device.name).filter(|most| self.device.mtu > *most)
    }

    /// Adopts what has changed of the interface, and starts responders for queues that have none.
    pub(super) fn update(&mut self, target: Target, means: &mut Means<'_>) {
        let Target { device, bond } = target;
        if device.name != self.device.name {
            tracing::info!("interface {} has been renamed: it is {} now", self.device.name, device.name);
        }
        self.mtu.store(device.mtu as usize, Ordering::Relaxed);
        self.device = device;
        self.bond = bond;
        self.update_settling();
        self.queue_problem = self.keep_queues(means).err();
    }

    /// Starts responders for queues that are new, or whose responder has ended.
    fn keep_queues(&mut self, means: &mut Means<'_>) -> Result<(), Error> {
        let mut ended = Vec::new();
        self.queues.retain_mut(|queue| match queue.end() {
            Some(reason) => {
                ended.push((queue.number(), reason));
                means.slots.free(queue.slot());
                false
            }
            None => true,
        });
        let interface = self.device.name.clone();
        for (queue, reason) in &ended {
            tracing::warn!(
                "interface {interface}, queue {queue}: its responder has ended ({reason}); starting another"
            );
        }
        let channels = Channels::of(&self.device)?;
        self.rx_queues = channels.rx;
        channels.check(&interface)?;
        self.start_missing_queues(means)
    }

    fn start_missing_queues(&mut self, means: &mut Means<'_>) -> Result<(), Error> {
        for queue in 0..self.rx_queues {
            if self.queues.iter().any(|started| started.number() == queue) {
                continue;
            }
            let slot = means.slots.occupy().ok_or(Error::TooManyQueues)?;
            let started = self.start_queue(queue, slot, means).inspect_err(|_| means.slots.free(slot))?;
            let at = self.queues.partition_point(|other| other.number() < queue);
            self.queues.insert(at, started);
        }
        Ok(())
    }

    fn start_queue(&self, queue: u32, slot: u32, means: &mut Means<'_>) -> Result<Queue, Error> {
        let start = queue::Start {
            interface: &self.device.name,
            key: QueueKey { ifindex: self.device.ifindex, queue },
            slot,
            options: means.options,
            template: means.kernel.template(),
            log: Arc::clone(means.log),
            mtu: Arc::clone(&self.mtu),
        };
        Queue::start(start, means.kernel.program())
    }

    /// Attaches the program. If that costs the interface its carrier, it is [settling](Self::is_settling).
    pub(super) fn attach(&mut self, program: BorrowedFd<'_>, options: &Options) -> Result<(), Error> {
        let was_usable = self.device.is_usable();
        let attachment = Attachment::new(program, &self.device, self.rx_queues, options)?;
        self.attachment = Some(attachment);
        self.settling = was_usable.then(|| Settling { since: Instant::now() });
        Ok(())
    }

    /// Detaches the program. If that costs the interface its carrier, it is [settling](Self::is_settling).
    pub(super) fn detach(&mut self) {
        let was_usable = self.device.is_usable();
        if self.attachment.take().is_some() {
            self.settling = was_usable.then(|| Settling { since: Instant::now() });
        }
    }

    /// Returns whether the interface is not usable because the program has been attached or detached.
    pub(super) fn is_settling(&self) -> bool {
        self.settling.is_some()
    }

    /// Adopts the state of the interface, which may be usable again, or gone.
    pub(super) fn update_link(&mut self, device: Option<&Device>) {
        if let Some(device) = device {
            self.device = device.clone();
            self.update_settling();
        } else {
            self.attachment = None;
            self.settling = None;
        }
    }

    fn update_settling(&mut self) {
        let Some(Settling { since }) = self.settling else {
            return;
        };
        let elapsed = since.elapsed();
        // Only the driver of a NIC can lose the carrier.
        let is_sure = self.device.kind.is_some() || elapsed >= SETTLE_MIN;
        if self.device.is_usable() && is_sure {
            self.settling = None;
        } else if elapsed >= SETTLE_TIMEOUT {
            let seconds = SETTLE_TIMEOUT.as_secs();
            tracing::warn!("interface {}: it has no carrier for {seconds} s; not waiting any longer", self.device.name);
            self.settling = None;
        }
    }

    /// Asks the responders to stop. Does not wait for them.
    pub(super) fn request_stop(&self) {
        self.queues.iter().for_each(Queue::request_stop);
    }

    /// Detaches the program, stops the responders and waits for them. Returns the first error of a responder.
    pub(super) fn stop(mut self, slots: &mut Slots) -> Option<Error> {
        self.attachment = None;
        self.stop_queues(slots)
    }

    fn stop_queues(&mut self, slots: &mut Slots) -> Option<Error> {
        self.request_stop();
        let interface = &self.device.name;
        let mut first = None;
        for queue in self.queues.drain(..) {
            slots.free(queue.slot());
            let number = queue.number();
            if let Some(reason) = queue.join() {
                first.get_or_insert(Error::ResponderStopped { interface: interface.clone(), queue: number, reason });
            }
        }
        first
    }
}
