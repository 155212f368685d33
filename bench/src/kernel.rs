//! The cost of the XDP program for each kind of packet, compared with a program that does nothing and one that reads
//! the message once.

use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{MapData, ProgramArray};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use filter_common::maps::{AddressKind, InterfaceState, Policy, QueueKey, QueueState, mac_number};
use filter_common::sip::Method;
use filter_lab::af_xdp;
use filter_lab::namespace::Namespace;
use filter_user::dataplane::{Lists, Ownership, Program};
use filter_user::domain;

use crate::layout::PORT;
use crate::messages::{self, Size};
use crate::programs::{self, PLACEHOLDER};
use crate::report::{Bound, Report, Rounds};
use crate::{Effort, cpu};

/// Number of runs of a program on a packet at a time: some milliseconds.
const REPEAT: u32 = 25_000;
/// Number of iterations of a round. Each runs all programs, so that a disturbance of the machine affects all alike.
const ITERATIONS: u32 = 20;
/// RX queue that `BPF_PROG_TEST_RUN` reports for a packet: queue 0 of the loopback interface, whose index is 1 in every
/// network namespace.
const TEST_QUEUE: QueueKey = QueueKey { ifindex: 1, queue: 0 };
/// Prefix of our To tags.
const TAG_PREFIX: &str = "benchtag";

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

/// A kind of packet.
struct Class {
    name: String,
    packet: Vec<u8>,
    /// True if maintenance is on.
    on: bool,
    /// XDP action that sip-filter must return.
    action: u32,
    target: Option<Target>,
    /// Nanoseconds per packet of each program: `bare_pass`, `read_once`, sip-filter.
    times: [Rounds; 3],
}

/// A limit for the cost of a kind of packet above that of a bare `XDP_PASS`.
#[derive(Clone, Copy)]
enum Target {
    /// Limit in nanoseconds.
    Nanoseconds(f64),
    /// Limit in multiples of the cost of reading the message once.
    TimesReading(f64),
}

/// A kind of packet that is another call each time, of which the transaction caches know nothing.
struct DistinctCalls {
    name: &'static str,
    on: bool,
    action: u32,
    /// Nanoseconds per packet above a bare `XDP_PASS`.
    above: Rounds,
}

/// The programs, with everything they need.
struct Rig {
    filter: Program,
    /// Bits of the emergency numbers in its table ([`Policy::emergency`]).
    emergency: [u64; 2],
    bench: Ebpf,
    next: ProgramArray<MapData>,
    _dispatched: Vec<Namespace>,
    /// Socket in the XSKMAP. The kernel removes it from there when it is closed.
    _socket: OwnedFd,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    cpu::pin(cpu::ANSWERER)?;
    let iterations = ITERATIONS / effort.divisor;
    let mut rig = Rig::load()?;
    let mut classes = classes()?;
    let mut first = [
        DistinctCalls { name: "typical INVITE while off", on: false, action: XDP_PASS, above: Rounds::default() },
        DistinctCalls { name: "new INVITE, typical", on: true, action: XDP_REDIRECT, above: Rounds::default() },
    ];
    let typical = packet(messages::invite(Size::Typical, PLACEHOLDER, false))?;
    for _ in 0..effort.rounds {
        for on in [false, true] {
            rig.set_maintenance(on)?;
            for class in classes.iter_mut().filter(|class| class.on == on) {
                (0..iterations).try_for_each(|_| rig.measure(class))?;
            }
            for class in first.iter_mut().filter(|class| class.on == on) {
                (0..iterations).try_for_each(|_| rig.measure_distinct(class, &typical))?;
            }
        }
    }
    for class in classes {
        class.report(report);
    }
    for DistinctCalls { name, above, .. } in first {
        report.figure("kernel", format!("{name}, another call each time: sip-filter above bare XDP_PASS"), "ns", above);
    }
    Ok(())
}

impl Class {
    fn new(name: impl Into<String>, packet: Vec<u8>, on: bool, action: u32, target: Option<Target>) -> Self {
        Self { name: name.into(), packet, on, action, target, times: Default::default() }
    }

    fn report(self, report: &mut Report) {
        let [bare, read, filter] = &self.times;
        let above = filter.zip_with(bare, |filter, bare| filter - bare);
        match self.target {
            Some(Target::Nanoseconds(limit)) => {
                let name = format!("{}: ns above bare XDP_PASS", self.name);
                report.target(name, above.median(), Bound::AtMost(limit));
            }
            Some(Target::TimesReading(limit)) => {
                let reading = read.zip_with(bare, |read, bare| read - bare);
                let readings = above.zip_with(&reading, |above, reading| above / reading);
                let name = format!("{}: above bare XDP_PASS, in readings", self.name);
                report.target(name, readings.median(), Bound::AtMost(limit));
            }
            None => {}
        }
        for (program, times) in ["bare XDP_PASS", "read once", "sip-filter"].into_iter().zip(self.times) {
            report.figure("kernel", format!("{}: {program}", self.name), "ns", times);
        }
    }
}

impl Rig {
    /// Loads everything. The filter is set up as by the daemon, with emergency numbers, a socket in its slot, and a
    /// lease that does not expire.
    fn load() -> Result<Self> {
        let mut filter = programs::filter()?;
        let lists = Lists::from(&domain::Policy::default());
        filter.lists().replace(&lists)?;
        let emergency = lists.emergency_bits();
        filter.take_ownership()?.write(ownership())?;
        let socket = af_xdp::bound_socket();
        filter.set_socket(0, &socket)?;
        let lease = QueueState { redirect_until_ns: u64::MAX, socket: 0, reserved: 0 };
        filter.queues()?.insert(TEST_QUEUE, lease, 0).context("grant a lease")?;
        let mut bench = programs::load()?;
        let mut dispatched = vec![programs::keep_dispatched(programs::filter_program(&mut filter)?)?];
        for name in ["bare_pass", "read_once", "distinct"] {
            dispatched.push(programs::keep_dispatched(programs::program(&mut bench, name)?)?);
        }
        programs::set_template(&mut bench, &packet(messages::invite(Size::Typical, PLACEHOLDER, false))?, 0)?;
        let next = programs::map(&mut bench, "NEXT")?;
        Ok(Self { filter, emergency, bench, next, _dispatched: dispatched, _socket: socket })
    }

    fn set_maintenance(&mut self, on: bool) -> Result<()> {
        let mut tag_prefix = [0; 8];
        tag_prefix.copy_from_slice(TAG_PREFIX.as_bytes());
        self.filter.set_policy(Policy {
            maintenance: on.into(),
            methods: Method::Invite.bit(),
            percent: 100,
            lists: 0,
            tag_prefix: u64::from_le_bytes(tag_prefix),
            emergency: self.emergency,
            tail_until_ns: 0,
        })?;
        Ok(())
    }

    /// Measures the three programs on a packet of this kind.
    fn measure(&mut self, class: &mut Class) -> Result<()> {
        let [bare, read, filter] = &mut class.times;
        bare.add(nanoseconds(programs::program(&mut self.bench, "bare_pass")?, &class.packet, XDP_PASS)?);
        read.add(nanoseconds(programs::program(&mut self.bench, "read_once")?, &class.packet, XDP_PASS)?);
        let program = programs::filter_program(&mut self.filter)?;
        let time = nanoseconds(program, &class.packet, class.action);
        filter.add(time.with_context(|| class.name.clone())?);
        Ok(())
    }

    /// Measures sip-filter and a bare `XDP_PASS`, each behind a program that turns the packet into another call.
    fn measure_distinct(&mut self, class: &mut DistinctCalls, packet: &[u8]) -> Result<()> {
        let bare = programs::program(&mut self.bench, "bare_pass")?.fd()?.try_clone()?;
        let filter = programs::filter_program(&mut self.filter)?.fd()?.try_clone()?;
        let mut times = [0.0; 2];
        for ((next, action), time) in [(&bare, XDP_PASS), (&filter, class.action)].into_iter().zip(&mut times) {
            self.next.set(0, next, 0).context("write the map NEXT")?;
            let program = programs::program(&mut self.bench, "distinct")?;
            *time = nanoseconds(program, packet, action).with_context(|| class.name)?;
        }
        class.above.add(times[1] - times[0]);
        Ok(())
    }
}

/// Returns what is this host's: the interface on which the packets arrive, and their destination address.
fn ownership() -> Ownership {
    let mut ownership = Ownership::default();
    let interface = InterfaceState { mac: mac_number(messages::PROXY_MAC), mtu: 1500, flags: 0 };
    ownership.interfaces.insert(TEST_QUEUE.ifindex, interface);
    ownership.addresses.insert(Ownership::words(messages::PROXY.into()), AddressKind::Own as u32);
    ownership
}

/// Returns the average time of the program for the packet, as measured by the kernel in whole nanoseconds.
fn nanoseconds(program: &Xdp, packet: &[u8], action: u32) -> Result<f64> {
    let options = TestRunOptions { data_in: Some(packet), repeat: REPEAT, ..TestRunOptions::default() };
    let result = program.test_run(options).context("run BPF_PROG_TEST_RUN")?;
    ensure!(result.return_value == action, "XDP action {} instead of {action}", result.return_value);
    Ok(result.duration.as_nanos() as f64)
}

/// Returns the packet with `message` to the proxy.
fn packet(message: Vec<u8>) -> Result<Vec<u8>> {
    messages::frame(message, PORT)
}

/// Returns the kinds of packets to measure.
fn classes() -> Result<Vec<Class>> {
    let elsewhere = Some(Target::Nanoseconds(8.0));
    let other = Some(Target::Nanoseconds(20.0));
    let mut tcp = packet(messages::invite(Size::Typical, 1, false))?;
    tcp[IP_PROTOCOL] = IPPROTO_TCP;
    let rtp = messages::frame(vec![0x80; 172], 30_000)?;
    let ours = format!("{TAG_PREFIX}0123456789abcdef");
    let in_dialog = |method, tag| packet(messages::in_dialog(method, 2, tag));
    let mut classes = vec![
        Class::new("TCP", tcp, true, XDP_PASS, elsewhere),
        Class::new("UDP to another port", rtp, true, XDP_PASS, elsewhere),
        Class::new("BYE", in_dialog("BYE", "a6c85cf")?, true, XDP_PASS, other),
        Class::new("200 with SDP", packet(messages::ok_response(2))?, true, XDP_PASS, other),
        Class::new("ACK while off", in_dialog("ACK", "a6c85cf")?, false, XDP_PASS, other),
        Class::new("ACK to the proxy's response, while on", in_dialog("ACK", "a6c85cf")?, true, XDP_PASS, None),
        Class::new("ACK to our response", in_dialog("ACK", &ours)?, true, XDP_DROP, None),
    ];
    let typical = |call, to_tag| packet(messages::invite(Size::Typical, call, to_tag));
    classes.push(Class::new("typical INVITE while off, sent again", typical(3, false)?, false, XDP_PASS, None));
    classes.push(Class::new("re-INVITE, typical, while on", typical(4, true)?, true, XDP_PASS, None));
    for size in Size::ALL {
        let invite = packet(messages::invite(size, 5, false))?;
        let name = format!("new INVITE, {}, sent again", size.name());
        classes.push(Class::new(name, invite, true, XDP_REDIRECT, Some(Target::TimesReading(2.5))));
    }
    Ok(classes)
}

/// Offset of the protocol in an IPv4 header behind an Ethernet header.
const IP_PROTOCOL: usize = 14 + 9;
const IPPROTO_TCP: u8 = 6;
