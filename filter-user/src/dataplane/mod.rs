//! The data plane: the XDP program on the interfaces, and a responder for each of their RX queues.
//!
//! Start: program, sockets, threads, and the program goes onto the interfaces last. End: it comes off them first.

mod affinity;
mod error;
pub(crate) mod ethtool;
pub(crate) mod interface;
pub(crate) mod kernel;
mod kernel_log;
mod program;
mod queue;

use std::collections::{BTreeSet, HashSet};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use filter_common::maps::{self, MAX_QUEUES};
use filter_common::sip::User;
use jiff::Timestamp;
use serde::Serialize;

pub use error::Error;
pub use kernel::check as check_kernel;
pub use program::{Attachment, Program, ProgramSettings};
pub use queue::QueueStatus;

use crate::cpus::CpuList;
use crate::policy::{EmergencyUser, Policy};
use crate::prefix::Prefix;
use crate::refusal_log::{RefusalLog, Writer};
use crate::responder::{ReplyTemplate, TagSecret, monotonic_ns};
use interface::{Interface, Link};
use kernel_log::KernelLog;
use queue::Queue;

/// How the XDP program is to be attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In the driver if it can, otherwise in the network stack
    #[default]
    Auto,
    /// In the driver, or not at all
    Native,
    /// In the network stack: works with any driver, and is slower
    Generic,
}

/// What the data plane is to do; fixed as long as it runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interfaces on which calls come in, by name. At least one.
    pub interfaces: Vec<String>,
    /// The UDP ports on which the proxy listens.
    pub ports: Vec<u16>,
    /// How the program is attached.
    pub mode: Mode,
    /// Whether the sockets are to be bound in zero-copy mode, which takes the program in the driver: not in
    /// [`Mode::Generic`]. Then every packet that passes is copied by the driver.
    pub zero_copy: bool,
    /// On which CPUs the responder threads are kept, in turn; on any, if there is no list.
    pub cpus: Option<CpuList>,
    /// For how long a responder polls the driver after the last packet, before it sleeps; zero: not at all.
    pub busy_poll: Duration,
    /// How long a responder that hangs may keep redirected frames from the proxy.
    pub lease: Duration,
    /// How many INVITEs are remembered, of those that passed and of those that were refused, so that each gets the
    /// same answer when it is sent again.
    pub transactions: u32,
    /// With what the To tags are made.
    pub tag: TagSecret,
    /// Whether the XDP program logs, at debug level.
    pub debug: bool,
}

/// The running data plane.
///
/// Dropped, it ends as by [`DataPlane::stop`], without a word about errors.
pub struct DataPlane {
    program: Program,
    interfaces: Vec<AttachedInterface>,
    template: Arc<ArcSwap<ReplyTemplate>>,
    tag: TagSecret,
    /// The policy that the XDP program has. Before it has one, only the end of the 32 s after a switch is set.
    in_force: maps::Policy,
    /// What the kernel's tables of exemptions hold.
    emergency: BTreeSet<EmergencyUser>,
    bypass: BTreeSet<Prefix>,
    /// The policy in force, if it has a planned end: what callers are told then grows shorter.
    ending: Option<Policy>,
    stop: Arc<AtomicBool>,
    log: Option<Writer>,
    kernel_log: Option<KernelLog>,
}

struct AttachedInterface {
    interface: Interface,
    /// Its MTU in octets, for the responders; kept up to date by [`DataPlane::failure`].
    mtu: Arc<AtomicUsize>,
    /// `None` before it is attached, and after it has been detached.
    attachment: Option<Attachment>,
    queues: Vec<Queue>,
}

/// What is known of an interface.
#[derive(Clone, Debug, Serialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its number.
    pub ifindex: u32,
    /// `native` or `generic`: where the XDP program runs. `None`: it is not attached.
    pub mode: Option<&'static str>,
    /// The id of the XDP program on it (`bpftool prog show id`).
    pub program: Option<u32>,
    /// Its RX queues.
    pub queues: Vec<QueueStatus>,
}

impl DataPlane {
    /// Brings everything up, with `policy` in force from the first packet on. Blocks for some hundred milliseconds.
    pub fn start(options: &Options, policy: &Policy) -> Result<Self, Error> {
        let interfaces = find_interfaces(&options.interfaces)?;
        if let Some(cpus) = &options.cpus {
            affinity::check(cpus)?;
        }
        let mut this = Self {
            program: Program::load(&ProgramSettings {
                ports: &options.ports,
                transactions: options.transactions,
                hash_seed: options.tag.hash_seed(),
                debug: options.debug,
            })?,
            interfaces: Vec::with_capacity(interfaces.len()),
            template: Arc::new(ArcSwap::from_pointee(template(policy, &options.tag)?)),
            tag: options.tag,
            in_force: maps::Policy { tail_until_ns: tail(monotonic_ns()), ..maps::Policy::default() },
            emergency: BTreeSet::new(),
            bypass: BTreeSet::new(),
            ending: None,
            stop: Arc::new(AtomicBool::new(false)),
            log: None,
            kernel_log: None,
        };
        if options.debug {
            this.kernel_log = KernelLog::start(this.program.ebpf())
                .inspect_err(|error| tracing::warn!("the XDP program's log cannot be read: {error}"))
                .ok();
        }
        let log = Arc::new(RefusalLog::new());
        this.log = Writer::start(Arc::clone(&log))
            .inspect_err(|error| tracing::warn!("refused calls will not be logged: cannot start the thread: {error}"))
            .ok();
        this.start_queues(interfaces, options, &log)?;
        this.apply(policy)?;
        for attached in &mut this.interfaces {
            attached.attachment = Some(this.program.attach(&attached.interface, options.mode, options.zero_copy)?);
        }
        Ok(this)
    }

    fn start_queues(
        &mut self,
        interfaces: Vec<Interface>,
        options: &Options,
        log: &Arc<RefusalLog>,
    ) -> Result<(), Error> {
        let mut slot = 0;
        for interface in interfaces {
            let mtu = Arc::new(AtomicUsize::new(interface.link()?.mtu));
            let mut queues = Vec::new();
            for queue in 0..interface.rx_queues {
                let template = Arc::clone(&self.template);
                let (log, stop, mtu) = (Arc::clone(log), Arc::clone(&self.stop), Arc::clone(&mtu));
                let start = queue::Start { interface: &interface, queue, slot, options, template, log, stop, mtu };
                queues.push(Queue::start(start, &mut self.program)?);
                slot += 1;
            }
            log_placement(&interface.name, &queues, options.busy_poll);
            self.interfaces.push(AttachedInterface { interface, mtu, attachment: None, queues });
        }
        if !options.busy_poll.is_zero() {
            warn_of_sharing(slot as usize, options.cpus.as_ref());
        }
        Ok(())
    }

    /// Puts `policy` in force. When it returns, the next packet is decided by it.
    pub fn apply(&mut self, policy: &Policy) -> Result<(), Error> {
        let template = template(policy, &self.tag)?;
        let flag = self.flag(policy);
        // Off goes to the kernel before anything else. On comes when the responders know what to answer, and the kernel
        // whom to let through.
        if !policy.maintenance {
            self.put_in_force(flag)?;
        }
        self.template.store(Arc::new(template));
        self.exempt(policy)?;
        if policy.maintenance {
            self.put_in_force(flag)?;
        }
        self.ending = policy.until.is_some().then(|| policy.clone());
        Ok(())
    }

    fn put_in_force(&mut self, flag: maps::Policy) -> Result<(), Error> {
        self.program.set_policy(flag)?;
        self.in_force = flag;
        Ok(())
    }

    /// Puts the exemptions of `policy` into the kernel's tables, if they are others than those that are there: there may be
    /// thousands, and a switch must not wait for them.
    fn exempt(&mut self, policy: &Policy) -> Result<(), Error> {
        if self.emergency != policy.emergency {
            self.program.set_emergency(&policy.emergency.iter().filter_map(EmergencyUser::key).collect())?;
            self.emergency.clone_from(&policy.emergency);
        }
        if self.bypass != policy.bypass {
            self.program.set_bypass(&policy.bypass.iter().copied().collect())?;
            self.bypass.clone_from(&policy.bypass);
        }
        Ok(())
    }

    /// `policy` as the XDP program needs it.
    fn flag(&self, policy: &Policy) -> maps::Policy {
        let has = |is_ipv4| policy.bypass.iter().any(|prefix| prefix.is_ipv4() == is_ipv4);
        let mut bypass = 0;
        for (is_ipv4, bit) in [(true, maps::Policy::BYPASS_IPV4), (false, maps::Policy::BYPASS_IPV6)] {
            bypass |= if has(is_ipv4) { bit } else { 0 };
        }
        let emergency = User::bits_of(policy.emergency.iter().filter_map(EmergencyUser::key));
        let ends = self.in_force.maintenance != 0 && !policy.maintenance;
        maps::Policy {
            maintenance: policy.maintenance.into(),
            methods: policy.methods.bits(),
            percent: policy.percent.into(),
            bypass,
            tag_prefix: u64::from_le_bytes(self.tag.prefix),
            emergency,
            tail_until_ns: if ends { tail(monotonic_ns()) } else { self.in_force.tail_until_ns },
        }
    }

    /// The interfaces and their queues, as they are now.
    pub fn status(&self) -> Vec<InterfaceStatus> {
        let status = |attached: &AttachedInterface| {
            let link = attached.interface.link().ok().filter(|_| attached.attachment.is_some());
            let program = link.and_then(|link| link.program);
            InterfaceStatus {
                name: attached.interface.name.clone(),
                ifindex: attached.interface.ifindex,
                mode: program.map(|program| program.mode),
                program: program.map(|program| program.id),
                queues: attached.queues.iter().map(Queue::status).collect(),
            }
        };
        self.interfaces.iter().map(status).collect()
    }

    /// What became of the packets that the XDP program has seen, by reason, on all interfaces together.
    pub fn verdicts(&self) -> Result<Vec<(&'static str, u64)>, Error> {
        Ok(self.program.verdicts()?.into_iter().map(|(verdict, packets)| (verdict.name(), packets)).collect())
    }

    /// What the responders did with what was redirected to them, of all queues together.
    pub fn responder_counters(&self) -> Vec<(&'static str, u64)> {
        queue::total(self.interfaces.iter().flat_map(|attached| &attached.queues))
    }

    /// Whether something has failed for good since the start: to be asked about once a second, for what changes with time
    /// is kept up to date then.
    pub fn failure(&mut self) -> Option<Error> {
        if let Some(template) = self.ending.as_ref().and_then(|policy| template(policy, &self.tag).ok()) {
            self.template.store(Arc::new(template));
        }
        if let Err(error) = self.end_tail() {
            // It does no harm, and is tried again.
            tracing::warn!("the XDP program still looks at the clock for each ACK: {error}");
        }
        let (program, _) = self.program.info().ok()?;
        for attached in &mut self.interfaces {
            if let Some(error) = attached.queues.iter_mut().find_map(Queue::failure) {
                return Some(error);
            }
            let what = match attached.interface.link() {
                Ok(Link { mtu, program: Some(found), .. }) if found.id == program => {
                    attached.mtu.store(mtu, Ordering::Relaxed);
                    continue;
                }
                Ok(Link { program: Some(found), .. }) => {
                    format!("another XDP program is on it now: {}", found.describe())
                }
                Ok(Link { program: None, .. }) => "the XDP program is no longer attached to it".to_owned(),
                Err(error) => format!("it has gone ({error})"),
            };
            return Some(Error::InterfaceLost { interface: attached.interface.name.clone(), what });
        }
        None
    }

    /// Tells the XDP program when the 32 s after maintenance are over, so that it need not look at the clock any more.
    fn end_tail(&mut self) -> Result<(), Error> {
        if monotonic_ns().is_ok_and(|now| is_tail_over(&self.in_force, now)) {
            self.put_in_force(maps::Policy { tail_until_ns: 0, ..self.in_force })?;
        }
        Ok(())
    }

    /// Ends the data plane: detaches the program, lets the responders answer what they have, and ends them.
    pub fn stop(mut self) -> Result<(), Error> {
        match self.end() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Option<Error> {
        for attached in &mut self.interfaces {
            attached.attachment = None;
        }
        self.stop.store(true, Ordering::Relaxed);
        let queues = self.interfaces.drain(..).flat_map(|attached| attached.queues);
        // All are joined, whatever the first of them says.
        queues.filter_map(Queue::join).reduce(|first, _| first)
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.end();
    }
}

/// What responses are made with, as of now.
fn template(policy: &Policy, tag: &TagSecret) -> Result<ReplyTemplate, Error> {
    let template = ReplyTemplate::new(&policy.refusal, tag)?;
    Ok(match policy.until {
        // Two seconds are taken off, for that is how old the template may become.
        Some(until) => {
            let seconds = until.duration_since(Timestamp::now()).as_secs() - 2;
            template.ending_in(seconds.clamp(0, u32::MAX.into()) as u32)
        }
        None => template,
    })
}

/// The end of the 32 s after a switch that was made at `now`. Without a clock there are none.
///
/// A daemon that has just started has them too: the one before it may have ended within them, and the ACK to its last
/// response may be under way.
fn tail(now: std::io::Result<u64>) -> u64 {
    now.map_or(0, |now| now + maps::TRANSACTION_NS)
}

/// Returns whether `policy` still has the end of the 32 s after a switch, although that is not later than `now`.
fn is_tail_over(policy: &maps::Policy, now: u64) -> bool {
    let maps::Policy { maintenance, tail_until_ns, .. } = *policy;
    maintenance == 0 && tail_until_ns != 0 && now >= tail_until_ns
}

/// Says where the responders of an interface run and how they wait, if something was asked for.
fn log_placement(interface: &str, queues: &[Queue], busy_poll: Duration) {
    let placed = queues.iter().filter_map(Queue::placement).collect::<Vec<_>>();
    if !placed.is_empty() {
        tracing::info!("interface {interface}: responders are kept on their CPUs: {}", placed.join(", "));
    }
    if !busy_poll.is_zero() {
        tracing::info!("interface {interface}: its driver is polled for {} us after a packet", busy_poll.as_micros());
    }
}

/// Says so if responders that poll have to share a CPU: each keeps the others from theirs while it looks for more.
fn warn_of_sharing(responders: usize, cpus: Option<&CpuList>) {
    // Without a list they may run where the process may. Who cannot be told how many CPUs these are is not warned for nothing.
    let anywhere = || thread::available_parallelism().map_or(usize::MAX, NonZero::get);
    let cpus = cpus.map_or_else(anywhere, |cpus| cpus.iter().count());
    if responders > cpus {
        tracing::warn!(
            "busy polling: there are {responders} responders for {cpus} CPU{plural}, and while one polls, another on its CPU waits, so \
             that they answer less than without; name a CPU for each RX queue (--cpus), or leave --busy-poll out",
            plural = if cpus == 1 { "" } else { "s" },
        );
    }
}

fn find_interfaces(names: &[String]) -> Result<Vec<Interface>, Error> {
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(Error::SameInterface { interface: twice.clone() });
    }
    let interfaces = names.iter().map(|name| Interface::find(name)).collect::<Result<Vec<_>, _>>()?;
    for interface in &interfaces {
        // Found out before any socket is opened, since the queues of another sip-filter are taken as well.
        if let Some(program) = interface.link()?.program {
            return Err(interface.occupied_by(&program));
        }
    }
    check_number_of_queues(&interfaces)?;
    Ok(interfaces)
}

/// Whether the maps have room for all RX queues of `interfaces`.
pub(crate) fn check_number_of_queues(interfaces: &[Interface]) -> Result<(), Error> {
    let queues = interfaces.iter().map(|interface| interface.rx_queues).sum();
    if queues > MAX_QUEUES { Err(Error::TooManyQueues { queues }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use filter_common::maps::{Policy, TRANSACTION_NS};

    use super::{is_tail_over, tail};

    #[test]
    fn tail_after_off_is_over_32_s_later_and_not_before() {
        let policy = Policy { tail_until_ns: tail(Ok(5)), ..Policy::default() };
        assert_eq!(TRANSACTION_NS, 32_000_000_000);
        assert!(!is_tail_over(&policy, 5 + TRANSACTION_NS - 1));
        assert!(is_tail_over(&policy, 5 + TRANSACTION_NS));
    }

    #[test]
    fn tail_is_not_over_during_maintenance_or_if_none_is_set() {
        let policy = Policy { tail_until_ns: tail(Ok(5)), ..Policy::default() };
        assert!(!is_tail_over(&Policy { maintenance: 1, ..policy }, u64::MAX));
        assert!(!is_tail_over(&Policy { tail_until_ns: 0, ..policy }, u64::MAX));
    }
}
