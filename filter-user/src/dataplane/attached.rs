//! The interfaces with the program attached, and the responders of their queues.

use std::collections::HashSet;
use std::mem;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use filter_common::maps::MAX_QUEUES;

use super::cpus::CpuList;
use super::interface::{Interface, Link};
use super::kernel_policy::KernelPolicy;
use super::queue::{self, Queue};
use super::{Attachment, Error, InterfaceStatus, Options};
use crate::responder::RefusalLog;

/// All interfaces of the data plane. Dropping them detaches the program, and ends the responders.
pub(super) struct AttachedInterfaces {
    interfaces: Vec<AttachedInterface>,
}

struct AttachedInterface {
    interface: Interface,
    /// MTU in bytes, for the responders; kept up to date by [`AttachedInterfaces::check`].
    mtu: Arc<AtomicUsize>,
    /// `None` before the program is attached.
    attachment: Option<Attachment>,
    queues: Vec<Queue>,
}

impl AttachedInterfaces {
    /// Starts a responder for each queue of `interfaces`. The program is not attached yet.
    pub(super) fn start(
        interfaces: Vec<Interface>,
        kernel: &mut KernelPolicy,
        options: &Options,
        log: &Arc<RefusalLog>,
    ) -> Result<Self, Error> {
        let mut this = Self { interfaces: Vec::with_capacity(interfaces.len()) };
        let mut slot = 0;
        for interface in interfaces {
            let mtu = Arc::new(AtomicUsize::new(interface.link()?.mtu));
            let mut queues = Vec::new();
            for queue in 0..interface.rx_queues {
                let (template, log) = (kernel.template(), Arc::clone(log));
                let mtu = Arc::clone(&mtu);
                let start = queue::Start { interface: &interface, queue, slot, options, template, log, mtu };
                queues.push(Queue::start(start, kernel.program())?);
                slot += 1;
            }
            log_placement(&interface.name, &queues, options.busy_poll);
            this.interfaces.push(AttachedInterface { interface, mtu, attachment: None, queues });
        }
        if !options.busy_poll.is_zero() {
            warn_of_sharing(slot as usize, options.cpus.as_ref());
        }
        Ok(this)
    }

    /// Attaches the program to all interfaces.
    pub(super) fn attach(&mut self, kernel: &mut KernelPolicy, options: &Options) -> Result<(), Error> {
        for attached in &mut self.interfaces {
            let attachment = kernel.program().attach(&attached.interface, options.mode, options.zero_copy)?;
            attached.attachment = Some(attachment);
        }
        Ok(())
    }

    /// Returns the state of each interface; none after [`stop`](Self::stop).
    pub(super) fn status(&self) -> Vec<InterfaceStatus> {
        self.interfaces.iter().map(AttachedInterface::status).collect()
    }

    /// Checks that all responders run, and that the program with the id `program` is on all interfaces. Updates their
    /// MTUs.
    pub(super) fn check(&mut self, program: u32) -> Result<(), Error> {
        self.interfaces.iter_mut().try_for_each(|attached| attached.check(program))
    }

    /// Detaches the program, lets the responders answer the requests that they have, and ends them.
    ///
    /// Waits for all of them, and returns the first error of a responder.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        for attached in &mut self.interfaces {
            attached.attachment = None;
        }
        self.interfaces.iter().flat_map(|attached| &attached.queues).for_each(Queue::request_stop);
        let queues = mem::take(&mut self.interfaces).into_iter().flat_map(|attached| attached.queues);
        queues.filter_map(Queue::join).reduce(|first, _| first).map_or(Ok(()), Err)
    }
}

impl Drop for AttachedInterfaces {
    fn drop(&mut self) {
        // There is no caller to report an error to.
        let _ = self.stop();
    }
}

impl AttachedInterface {
    fn status(&self) -> InterfaceStatus {
        let link = self.interface.link().ok().filter(|_| self.attachment.is_some());
        let program = link.and_then(|link| link.program);
        InterfaceStatus {
            name: self.interface.name.clone(),
            ifindex: self.interface.ifindex,
            mode: program.map(|program| program.mode),
            program: program.map(|program| program.id),
            queues: self.queues.iter().map(Queue::status).collect(),
        }
    }

    fn check(&mut self, program: u32) -> Result<(), Error> {
        if let Some(error) = self.queues.iter_mut().find_map(Queue::failure) {
            return Err(error);
        }
        let what = match self.interface.link() {
            Ok(Link { mtu, program: Some(found), .. }) if found.id == program => {
                self.mtu.store(mtu, Ordering::Relaxed);
                return Ok(());
            }
            Ok(Link { program: Some(found), .. }) => format!("another XDP program is on it now: {}", found.describe()),
            Ok(Link { program: None, .. }) => "the XDP program is no longer attached to it".to_owned(),
            Err(error) => format!("it has gone ({error})"),
        };
        Err(Error::InterfaceLost { interface: self.interface.name.clone(), what })
    }
}

/// Finds the interfaces by their names, and checks that each can be served.
pub(super) fn find_interfaces(names: &[String]) -> Result<Vec<Interface>, Error> {
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(Error::SameInterface { interface: twice.clone() });
    }
    let interfaces = names.iter().map(|name| Interface::find(name)).collect::<Result<Vec<_>, _>>()?;
    for interface in &interfaces {
        // Checked before any socket is opened: another sip-filter occupies the queues too, and that error would be less
        // helpful.
        if let Some(program) = interface.link()?.program {
            return Err(interface.occupied_by(program));
        }
    }
    check_number_of_queues(&interfaces)?;
    Ok(interfaces)
}

/// Checks that the maps have room for all RX queues of `interfaces`.
pub(crate) fn check_number_of_queues(interfaces: &[Interface]) -> Result<(), Error> {
    let queues = interfaces.iter().map(|interface| interface.rx_queues).sum();
    if queues > MAX_QUEUES { Err(Error::TooManyQueues { queues }) } else { Ok(()) }
}

/// Logs the CPUs of an interface's responders, and their busy polling, if options set them.
fn log_placement(interface: &str, queues: &[Queue], busy_poll: Duration) {
    let placed = queues.iter().filter_map(Queue::placement).collect::<Vec<_>>();
    if !placed.is_empty() {
        tracing::info!("interface {interface}: responders are pinned to their CPUs: {}", placed.join(", "));
    }
    if !busy_poll.is_zero() {
        tracing::info!("interface {interface}: its driver is polled for {} us after a packet", busy_poll.as_micros());
    }
}

/// Warns if responders that poll share a CPU: while one polls, the others on that CPU do not run.
fn warn_of_sharing(responders: usize, cpus: Option<&CpuList>) {
    // Without a list they run on any CPU of the process. If that number is unknown, do not warn.
    let anywhere = || thread::available_parallelism().map_or(usize::MAX, NonZero::get);
    let cpus = cpus.map_or_else(anywhere, |cpus| cpus.iter().count());
    if responders > cpus {
        tracing::warn!(
            "busy polling: there are {responders} responders for {cpus} CPU{plural}, and while one polls, the others on \
             its CPU wait, so that fewer calls are answered than without busy polling; give a CPU for each RX queue \
             (--cpus), or leave out --busy-poll",
            plural = if cpus == 1 { "" } else { "s" },
        );
    }
}
