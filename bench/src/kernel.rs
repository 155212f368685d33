//! What the XDP program costs, by the kind of packet, beside a program that does nothing and one that reads the message once.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{MapData, ProgramArray};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use filter_common::maps::{Policy, QueueKey, QueueState};
use filter_common::sip::{Method, User};
use filter_lab::af_xdp;
use filter_lab::namespace::Namespace;
use filter_user::dataplane::Program;
use filter_user::policy::EmergencyUser;

use crate::layout::PORT;
use crate::messages::{self, Size};
use crate::programs::{self, PLACEHOLDER};
use crate::report::{Bound, Report, Rounds};
use crate::{Effort, cpu};

/// How often a program runs on a packet at a time: for some milliseconds.
const REPEAT: u32 = 25_000;
/// How often in a round, all programs in turns: neighbours of the machine come and go.
const TURNS: u32 = 20;
/// Where `BPF_PROG_TEST_RUN` says that a packet comes from: the loopback interface, number 1 in any namespace.
const TEST_QUEUE: QueueKey = QueueKey { ifindex: 1, queue: 0 };
const TAG_PREFIX: &str = "benchtag";

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

/// A kind of packet.
struct Class {
    name: String,
    packet: Vec<u8>,
    /// Whether maintenance is on when it comes.
    on: bool,
    /// What has to become of it.
    action: u32,
    target: Option<Target>,
    /// Nanoseconds a packet of each program, in the order of [`Measured::programs`].
    times: [Rounds; 3],
}

/// What is to be reached for a kind of packet, in what it costs more than with a bare `XDP_PASS`.
#[derive(Clone, Copy)]
enum Target {
    /// So many nanoseconds.
    Nanoseconds(f64),
    /// So many times what reading the message once costs more.
    TimesReading(f64),
}

/// A call of which there is no memory yet, each time.
struct FirstOfItsKind {
    name: &'static str,
    on: bool,
    action: u32,
    above: Rounds,
}

/// The programs, with all that they work with.
struct Measured {
    filter: Program,
    /// The bits of the emergency numbers in its table.
    emergency: [u64; 2],
    bench: Ebpf,
    next: ProgramArray<MapData>,
    _dispatched: Vec<Namespace>,
    /// In the XSKMAP, which a socket leaves when it is closed.
    _socket: OwnedFd,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    cpu::pin(cpu::ANSWERER)?;
    let turns = TURNS / effort.divisor;
    let mut measured = Measured::load()?;
    let mut classes = classes()?;
    let mut first = [
        FirstOfItsKind { name: "typical INVITE while off", on: false, action: XDP_PASS, above: Rounds::default() },
        FirstOfItsKind { name: "new INVITE, typical", on: true, action: XDP_REDIRECT, above: Rounds::default() },
    ];
    let typical = packet(messages::invite(Size::Typical, PLACEHOLDER, false))?;
    for _ in 0..effort.rounds {
        for on in [false, true] {
            measured.switch(on)?;
            for class in classes.iter_mut().filter(|class| class.on == on) {
                (0..turns).try_for_each(|_| measured.turn(class))?;
            }
            for class in first.iter_mut().filter(|class| class.on == on) {
                (0..turns).try_for_each(|_| measured.turn_with_another(class, &typical))?;
            }
        }
    }
    for class in classes {
        class.report(report);
    }
    for FirstOfItsKind { name, above, .. } in first {
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
        let above = filter.against(bare, |filter, bare| filter - bare);
        match self.target {
            Some(Target::Nanoseconds(limit)) => {
                let name = format!("{}: ns above bare XDP_PASS", self.name);
                report.target(name, above.median(), Bound::AtMost(limit));
            }
            Some(Target::TimesReading(limit)) => {
                let reading = read.against(bare, |read, bare| read - bare);
                let readings = above.against(&reading, |above, reading| above / reading);
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

impl Measured {
    /// Everything loaded, as the daemon loads it: with emergency numbers, a socket in the slot, and a lease that does not end.
    fn load() -> Result<Self> {
        let mut filter = programs::filter()?;
        let numbers: HashSet<User> = EmergencyUser::defaults().iter().filter_map(EmergencyUser::key).collect();
        filter.set_emergency(&numbers)?;
        let emergency = User::bits_of(numbers);
        let socket = af_xdp::bound_socket();
        filter.set_socket(0, &socket)?;
        let lease = QueueState { redirect_until_ns: u64::MAX, socket: 0, reserved: 0 };
        filter.queues()?.insert(TEST_QUEUE, lease, 0).context("a lease")?;
        let mut bench = programs::load()?;
        let mut dispatched = vec![programs::keep_dispatched(programs::filter_program(&mut filter)?)?];
        for name in ["bare_pass", "read_once", "distinct"] {
            dispatched.push(programs::keep_dispatched(programs::program(&mut bench, name)?)?);
        }
        programs::set_template(&mut bench, &packet(messages::invite(Size::Typical, PLACEHOLDER, false))?, 0)?;
        let next = programs::map(&mut bench, "NEXT")?;
        Ok(Self { filter, emergency, bench, next, _dispatched: dispatched, _socket: socket })
    }

    fn switch(&mut self, on: bool) -> Result<()> {
        let mut tag_prefix = [0; 8];
        tag_prefix.copy_from_slice(TAG_PREFIX.as_bytes());
        self.filter.set_policy(Policy {
            maintenance: on.into(),
            methods: Method::Invite.bit(),
            percent: 100,
            bypass: 0,
            tag_prefix: u64::from_le_bytes(tag_prefix),
            emergency: self.emergency,
            tail_until_ns: 0,
        })?;
        Ok(())
    }

    /// The three programs on a packet of this kind.
    fn turn(&mut self, class: &mut Class) -> Result<()> {
        let [bare, read, filter] = &mut class.times;
        bare.add(nanoseconds(programs::program(&mut self.bench, "bare_pass")?, &class.packet, XDP_PASS)?);
        read.add(nanoseconds(programs::program(&mut self.bench, "read_once")?, &class.packet, XDP_PASS)?);
        let program = programs::filter_program(&mut self.filter)?;
        let time = nanoseconds(program, &class.packet, class.action);
        filter.add(time.with_context(|| class.name.clone())?);
        Ok(())
    }

    /// What sip-filter costs more than a bare `XDP_PASS`, both by way of a program that makes another call of the packet.
    fn turn_with_another(&mut self, class: &mut FirstOfItsKind, packet: &[u8]) -> Result<()> {
        let bare = programs::program(&mut self.bench, "bare_pass")?.fd()?.try_clone()?;
        let filter = programs::filter_program(&mut self.filter)?.fd()?.try_clone()?;
        let mut times = [0.0; 2];
        for ((next, action), time) in [(&bare, XDP_PASS), (&filter, class.action)].into_iter().zip(&mut times) {
            self.next.set(0, next, 0).context("the map NEXT")?;
            let program = programs::program(&mut self.bench, "distinct")?;
            *time = nanoseconds(program, packet, action).with_context(|| class.name)?;
        }
        class.above.add(times[1] - times[0]);
        Ok(())
    }
}

/// What the program takes for the packet on average, by the kernel's own account: in whole nanoseconds.
fn nanoseconds(program: &Xdp, packet: &[u8], action: u32) -> Result<f64> {
    let options = TestRunOptions { data_in: Some(packet), repeat: REPEAT, ..TestRunOptions::default() };
    let result = program.test_run(options).context("BPF_PROG_TEST_RUN")?;
    ensure!(result.return_value == action, "XDP action {} instead of {action}", result.return_value);
    Ok(result.duration.as_nanos() as f64)
}

fn packet(message: Vec<u8>) -> Result<Vec<u8>> {
    messages::frame(message, PORT)
}

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
        Class::new("200 with SDP", packet(messages::ok(2))?, true, XDP_PASS, other),
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

/// Where an IPv4 header behind an Ethernet header has its protocol.
const IP_PROTOCOL: usize = 14 + 9;
const IPPROTO_TCP: u8 = 6;
