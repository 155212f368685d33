//! All interfaces that are served: which they are, as the network changes, and in which order the program is attached
//! to them and detached.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::cpus::CpuList;
use super::interface::{Interface, Means};
use super::kernel_policy::KernelPolicy;
use super::ownership::{self, Ownership, Shield};
use super::ownership_maps::OwnershipMaps;
use super::problems::Problems;
use super::slots::Slots;
use super::targets::{Meaning, Target, Targets};
use super::view::{InterfaceView, ResponderCounters, View};
use super::{Error, Options, lock};
use crate::network::{AttachMode, Network};
use crate::responder::RefusalLog;

/// Interval at which the network is read while an interface is waited for.
const POLL: Duration = Duration::from_millis(20);

/// Time for which the other ports of a bond are spared at the end while one of them has no carrier.
const DETACH_TIMEOUT: Duration = Duration::from_secs(10);

/// All interfaces that are served. Dropping them detaches the program, and ends the responders.
pub(super) struct Interfaces {
    targets: Targets,
    options: Options,
    log: Arc<RefusalLog>,
    program: OwnedFd,
    program_id: u32,
    served: Vec<Interface>,
    slots: Slots,
    maps: OwnershipMaps,
    problems: Problems,
    view: Arc<ArcSwap<View>>,
    retired: ResponderCounters,
}

impl Interfaces {
    /// Starts a responder for each queue of the interfaces of `options`. The program is not attached yet.
    ///
    /// # Errors
    ///
    /// If one of the interfaces cannot be served.
    pub(super) fn start(
        options: &Options,
        kernel: &mut KernelPolicy,
        (program, program_id): (OwnedFd, u32),
        log: &Arc<RefusalLog>,
    ) -> Result<Self, Error> {
        let maps = kernel.program().take_ownership()?;
        let mut this = Self {
            targets: Targets::new(&options.interfaces),
            options: options.clone(),
            log: Arc::clone(log),
            program,
            program_id,
            served: Vec::new(),
            slots: Slots::default(),
            maps,
            problems: Problems::default(),
            view: Arc::default(),
            retired: ResponderCounters::default(),
        };
        let network = Network::read().map_err(Error::Netlink)?;
        let (wanted, errors) = wanted(this.targets.resolve(&network));
        // A bond may get its ports later.
        let (no_ports, mut errors): (Vec<_>, Vec<_>) =
            errors.into_iter().partition(|(_, error)| matches!(error, Error::NoPorts { .. }));
        if let Some((_, error)) = errors.pop() {
            return Err(error);
        }
        this.problems.set_names(no_ports);
        for target in wanted {
            let interface = Interface::start(target, &mut this.means(kernel))?;
            log_placement(&interface, options.busy_poll);
            this.served.push(interface);
        }
        if !options.busy_poll.is_zero() {
            let responders = this.served.iter().flat_map(Interface::queues).count();
            warn_of_sharing(responders, options.cpus.as_ref());
        }
        this.write_ownership(&network)?;
        Ok(this)
    }

    /// Attaches the program to all interfaces, and waits until they have their carrier again.
    ///
    /// Of the ports of a bond, the next one is attached only after the previous one is usable again, and the active one
    /// comes last, so that the bond always has one.
    pub(super) fn attach(&mut self) -> Result<(), Error> {
        loop {
            let network = Network::read().map_err(Error::Netlink)?;
            for interface in &mut self.served {
                interface.update_link(network.device(interface.device.ifindex));
            }
            match self.next_to_attach() {
                Some(next) => {
                    self.attach_one(next)?;
                    self.write_ownership(&network)?;
                }
                None if self.served.iter().any(Interface::is_settling) => thread::sleep(POLL),
                None => break,
            }
        }
        self.publish();
        Ok(())
    }

    /// Returns the state that any thread can read at any time.
    pub(super) fn view(&self) -> Arc<ArcSwap<View>> {
        Arc::clone(&self.view)
    }

    /// Follows the changes of the network: interfaces, ports of bonds, addresses, queues.
    ///
    /// # Errors
    ///
    /// If the last interface is lost, or a map cannot be written. Any other problem is an alarm.
    pub(super) fn follow(&mut self, kernel: &Mutex<KernelPolicy>) -> Result<(), Error> {
        let network = match Network::read() {
            Ok(network) => network,
            Err(error) => {
                // What is in force stays so.
                self.problems.set_network(Some(&Error::Netlink(error)));
                self.publish();
                return Ok(());
            }
        };
        self.problems.set_network(None);
        let (wanted, errors) = wanted(self.targets.resolve(&network));
        self.problems.set_names(errors);
        self.problems.forget(|ifindex| !wanted.iter().any(|target| target.device.ifindex == ifindex));
        let lost = self.release(&wanted);
        for target in wanted {
            self.adopt(target, kernel);
        }
        self.write_ownership(&network)?;
        if let Some(next) = self.next_to_attach() {
            if let Err(error) = self.attach_one(next) {
                self.give_up(next, error);
            }
            self.write_ownership(&network)?;
        }
        self.publish();
        match lost {
            Some(error) if self.served.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets go of the interfaces that are no longer wanted or have been lost. Returns the error of the last that has
    /// been lost.
    fn release(&mut self, wanted: &[Target]) -> Option<Error> {
        let mut lost = None;
        let mut at = 0;
        while let Some(interface) = self.served.get(at) {
            let target = wanted.iter().find(|target| target.device.ifindex == interface.device.ifindex);
            let error = match target {
                None => Some(Self::unwanted(interface)),
                Some(target) => self.loss(interface, target),
            };
            match error {
                None => at += 1,
                Some(error) => {
                    let interface = self.served.remove(at);
                    tracing::warn!("{error}");
                    if target.is_some() {
                        self.problems.add(&interface.device, &error);
                    }
                    lost = Some(error);
                    self.stop_one(interface);
                }
            }
        }
        lost
    }

    /// Returns the error for an interface that is no longer one of those to serve.
    fn unwanted(interface: &Interface) -> Error {
        let what = match &interface.bond {
            Some(bond) => format!("it is no longer a port of {bond}"),
            None => "it has gone".to_owned(),
        };
        Error::InterfaceLost { interface: interface.device.name.clone(), what }
    }

    /// Returns the error for an interface that exists and has lost the program.
    fn loss(&self, interface: &Interface, target: &Target) -> Option<Error> {
        let what = match target.device.program {
            _ if !interface.is_attached() => return None,
            Some(found) if found.id == self.program_id => return None,
            Some(found) => format!("another XDP program is on it now: {}", found.describe()),
            None => "the XDP program is no longer attached to it".to_owned(),
        };
        Some(Error::InterfaceLost { interface: target.device.name.clone(), what })
    }

    /// Updates an interface that is served, or begins to serve it.
    fn adopt(&mut self, target: Target, kernel: &Mutex<KernelPolicy>) {
        let ifindex = target.device.ifindex;
        let mut kernel = lock(kernel);
        if let Some(at) = self.served.iter().position(|interface| interface.device.ifindex == ifindex) {
            let Self { served, slots, options, log, .. } = self;
            let mut means = Means { kernel: &mut kernel, slots, options, log };
            if let Some(interface) = served.get_mut(at) {
                interface.update(target, &mut means);
            }
        } else if self.problems.may_retry(ifindex) {
            let device = target.device.clone();
            match Interface::start(target, &mut self.means(&mut kernel)) {
                Ok(interface) => {
                    tracing::info!("interface {}: calls on it are refused from now on", interface.display_name());
                    self.problems.forget(|failed| failed == ifindex);
                    self.served.push(interface);
                }
                Err(error) => {
                    tracing::debug!("{error}");
                    self.problems.add(&device, &error);
                }
            }
        }
    }

    /// Returns the position of the interface to attach next, unless another port of its bond has no carrier because of
    /// us.
    fn next_to_attach(&self) -> Option<usize> {
        let waiting: BTreeSet<&str> = self
            .served
            .iter()
            .filter(|served| served.is_settling())
            .filter_map(|served| served.bond.as_deref())
            .collect();
        let candidates = self.served.iter().enumerate().filter(|(_, interface)| {
            !interface.is_attached() && interface.bond.as_deref().is_none_or(|bond| !waiting.contains(bond))
        });
        // The active port of a bond comes last, and one that the bond cannot use first.
        let (at, _) = candidates.min_by_key(|(_, interface)| importance(interface))?;
        Some(at)
    }

    fn attach_one(&mut self, at: usize) -> Result<(), Error> {
        let Some(interface) = self.served.get_mut(at) else {
            return Ok(());
        };
        interface.attach(self.program.as_fd(), &self.options)
    }

    /// Stops serving an interface to which the program cannot be attached, for now.
    fn give_up(&mut self, at: usize, error: Error) {
        let interface = self.served.remove(at);
        tracing::warn!("{error}");
        self.problems.add(&interface.device, &error);
        self.stop_one(interface);
    }

    fn stop_one(&mut self, interface: Interface) -> Option<Error> {
        let queues: Vec<_> = interface.queues().map(Arc::clone).collect();
        let error = interface.stop(&mut self.slots);
        for queue in queues {
            self.retired.add(&queue.status());
        }
        error
    }

    /// Writes what is this host's into the maps of the XDP program.
    fn write_ownership(&mut self, network: &Network) -> Result<(), Error> {
        let mut shields = Vec::new();
        let mut stripping = Vec::new();
        for interface in &self.served {
            let Some(device) = network.device(interface.device.ifindex) else {
                continue;
            };
            let is_generic = interface.mode() != Some(AttachMode::Native);
            let strips_vlan_tags = ownership::strips_vlan_tags(network, device);
            if strips_vlan_tags {
                stripping.push(device.clone());
            }
            shields.push(Shield { device, is_generic, strips_vlan_tags });
        }
        self.problems.set_vlan_stripping(stripping);
        let ownership = Ownership::new(network, &shields);
        let is_over_limit = ownership.is_over_limit();
        self.problems.set_addresses(is_over_limit.then_some(ownership.addresses.len()));
        if is_over_limit { Ok(()) } else { self.maps.write(ownership) }
    }

    fn publish(&self) {
        let interfaces = self.served.iter().map(|interface| InterfaceView::new(interface, self.program_id)).collect();
        self.view.store(Arc::new(View {
            interfaces,
            retired: self.retired.clone(),
            alarms: self.problems.alarms(&self.served),
            vlan_alarms: self.problems.vlan_alarms(),
        }));
    }

    /// Detaches the program, lets the responders answer the requests that they have, and ends them.
    ///
    /// The ports of a bond are detached one at a time, as they were attached. Waits for all responders, and returns the
    /// first error of one.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        while let Some(next) = self.next_to_detach() {
            next.detach();
            let settles_by = Instant::now() + DETACH_TIMEOUT;
            while self.has_settling_bond() && Instant::now() < settles_by {
                thread::sleep(POLL);
                let Ok(network) = Network::read() else { break };
                for interface in &mut self.served {
                    interface.update_link(network.device(interface.device.ifindex));
                }
            }
        }
        self.served.iter().for_each(Interface::request_stop);
        let mut first = None;
        while let Some(interface) = self.served.pop() {
            first = self.stop_one(interface).or(first);
        }
        self.publish();
        first.map_or(Ok(()), Err)
    }

    /// Returns the interface to detach next: of the ports of a bond, the active one last.
    fn next_to_detach(&mut self) -> Option<&mut Interface> {
        self.served.iter_mut().filter(|interface| interface.is_attached()).min_by_key(|interface| importance(interface))
    }

    /// Returns whether a port of a bond has no carrier because of us, while the program is on another one.
    fn has_settling_bond(&self) -> bool {
        self.served.iter().filter(|port| port.is_settling()).any(|port| {
            let is_sibling = |other: &&Interface| port.bond.is_some() && other.bond == port.bond && other.is_attached();
            self.served.iter().any(|other| is_sibling(&other))
        })
    }

    fn means<'a>(&'a mut self, kernel: &'a mut KernelPolicy) -> Means<'a> {
        Means { kernel, slots: &mut self.slots, options: &self.options, log: &self.log }
    }
}

impl Drop for Interfaces {
    fn drop(&mut self) {
        // There is no caller to report an error to.
        let _ = self.stop();
    }
}

/// Returns how much a bond depends on a port: not at all if it cannot use it, and most if it is the active one.
fn importance(interface: &Interface) -> u8 {
    match (interface.device.is_usable(), interface.device.is_backup()) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => 2,
    }
}

/// Returns the interfaces that the names mean, each once, and the errors of the names that mean none.
fn wanted(meanings: Vec<(String, Meaning)>) -> (Vec<Target>, Vec<(String, Error)>) {
    let (mut wanted, mut errors) = (Vec::<Target>::new(), Vec::new());
    for (name, meaning) in meanings {
        let interface = name.clone();
        match meaning {
            Meaning::Interfaces(targets) if targets.is_empty() => errors.push((name, Error::NoPorts { interface })),
            Meaning::Interfaces(targets) => {
                for target in targets {
                    if !wanted.iter().any(|other| other.device.ifindex == target.device.ifindex) {
                        wanted.push(target);
                    }
                }
            }
            Meaning::Missing => errors.push((name, Error::NoInterface { interface })),
            Meaning::NotEthernet { kind } => errors.push((name, Error::NotEthernet { interface, kind })),
        }
    }
    (wanted, errors)
}

/// Logs the CPUs of an interface's responders, and their busy polling, if options set them.
fn log_placement(interface: &Interface, busy_poll: Duration) {
    let name = interface.display_name();
    let placed = interface.queues().filter_map(|queue| queue.placement()).collect::<Vec<_>>();
    if !placed.is_empty() {
        tracing::info!("interface {name}: responders are pinned to their CPUs: {}", placed.join(", "));
    }
    if !busy_poll.is_zero() {
        tracing::info!("interface {name}: its driver is polled for {} us after a packet", busy_poll.as_micros());
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
