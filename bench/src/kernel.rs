//! The cost of the XDP program for each kind of packet, compared with a program that does nothing and one that reads
//! the message once.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{MapData, ProgramArray};
use filter_lab::namespace::Namespace;

use crate::filter::{self, Filter, TAG_PREFIX};
use crate::layout::PORT;
use crate::messages::{self, Size};
use crate::programs::{self, PLACEHOLDER};
use crate::report::{Bound, Report, Rounds};
use crate::tables::Tables;
use crate::{Effort, cpu};

/// Number of iterations of a round. Each runs all programs, so that a disturbance of the machine affects all alike.
const ITERATIONS: u32 = 20;
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

/// A kind of packet by which full tables are compared with those of a plain host.
struct TableCost {
    name: &'static str,
    packet: Vec<u8>,
    /// Nanoseconds per packet with full tables above those with a plain host's.
    above: Rounds,
}

/// The programs, with everything they need.
struct Rig {
    /// The product's program on a plain host.
    plain: Filter,
    /// The product's program with full tables.
    full: Filter,
    bench: Ebpf,
    next: ProgramArray<MapData>,
    _dispatched: Vec<Namespace>,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    cpu::pin(cpu::ANSWERER)?;
    let iterations = ITERATIONS / effort.divisor;
    let mut rig = Rig::load()?;
    let mut classes = classes();
    let mut first = [
        DistinctCalls { name: "typical INVITE while off", on: false, action: XDP_PASS, above: Rounds::default() },
        DistinctCalls { name: "new INVITE, typical", on: true, action: XDP_REDIRECT, above: Rounds::default() },
    ];
    let typical = packet(messages::invite(Size::Typical, PLACEHOLDER, false));
    let mut tables = table_costs();
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
        for kind in &mut tables {
            (0..iterations).try_for_each(|_| rig.measure_tables(kind))?;
        }
    }
    for class in classes {
        class.report(report);
    }
    for DistinctCalls { name, above, .. } in first {
        report.figure("kernel", format!("{name}, another call each time: sip-filter above bare XDP_PASS"), "ns", above);
    }
    for TableCost { name, above, .. } in tables {
        let name = format!("{name}, 1000 addresses and 8192 prefixes: ns above a plain host");
        report.target(name.clone(), above.median(), Bound::AtMost(60.0));
        report.figure("kernel", name, "ns", above);
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
    /// Loads everything.
    fn load() -> Result<Self> {
        let plain = Filter::load(&Tables::plain(filter::IFINDEX))?;
        let full = Filter::load(&Tables::full(filter::IFINDEX)?)?;
        let mut bench = programs::load()?;
        let mut dispatched = Vec::new();
        for name in ["bare_pass", "read_once", "distinct"] {
            dispatched.push(programs::keep_dispatched(programs::program(&mut bench, name)?)?);
        }
        programs::set_template(&mut bench, &packet(messages::invite(Size::Typical, PLACEHOLDER, false)), 0)?;
        let next = programs::map(&mut bench, "NEXT")?;
        Ok(Self { plain, full, bench, next, _dispatched: dispatched })
    }

    fn set_maintenance(&mut self, on: bool) -> Result<()> {
        self.plain.set_maintenance(on)?;
        self.full.set_maintenance(on)
    }

    /// Measures the three programs on a packet of this kind.
    fn measure(&mut self, class: &mut Class) -> Result<()> {
        let [bare, read, filter] = &mut class.times;
        bare.add(filter::nanoseconds(programs::program(&mut self.bench, "bare_pass")?, &class.packet, XDP_PASS)?);
        read.add(filter::nanoseconds(programs::program(&mut self.bench, "read_once")?, &class.packet, XDP_PASS)?);
        let time = self.plain.nanoseconds(&class.packet, class.action);
        filter.add(time.with_context(|| class.name.clone())?);
        Ok(())
    }

    /// Measures sip-filter and a bare `XDP_PASS`, each behind a program that turns the packet into another call.
    fn measure_distinct(&mut self, class: &mut DistinctCalls, packet: &[u8]) -> Result<()> {
        let bare = programs::program(&mut self.bench, "bare_pass")?.fd()?.try_clone()?;
        let filter = self.plain.program()?.fd()?.try_clone()?;
        let mut times = [0.0; 2];
        for ((next, action), time) in [(&bare, XDP_PASS), (&filter, class.action)].into_iter().zip(&mut times) {
            self.next.set(0, next, 0).context("write the map NEXT")?;
            let program = programs::program(&mut self.bench, "distinct")?;
            *time = filter::nanoseconds(program, packet, action).with_context(|| class.name)?;
        }
        class.above.add(times[1] - times[0]);
        Ok(())
    }
    /// Measures the product's program with full tables and with those of a plain host.
    fn measure_tables(&mut self, kind: &mut TableCost) -> Result<()> {
        let plain = self.plain.nanoseconds(&kind.packet, XDP_REDIRECT).context(kind.name)?;
        let full = self.full.nanoseconds(&kind.packet, XDP_REDIRECT).context(kind.name)?;
        kind.above.add(full - plain);
        Ok(())
    }
}

/// Returns the packet with `message` to the proxy.
fn packet(message: Vec<u8>) -> Vec<u8> {
    messages::frame(message, PORT)
}

/// Returns the kinds of packets to measure.
fn classes() -> Vec<Class> {
    let elsewhere = Some(Target::Nanoseconds(8.0));
    let other = Some(Target::Nanoseconds(20.0));
    let mut tcp = packet(messages::invite(Size::Typical, 1, false));
    tcp[IP_PROTOCOL] = IPPROTO_TCP;
    let rtp = messages::frame(vec![0x80; 172], 30_000);
    let ours = format!("{TAG_PREFIX}0123456789abcdef");
    let in_dialog = |method, tag| packet(messages::in_dialog(method, 2, tag));
    let typical = |call, to_tag| packet(messages::invite(Size::Typical, call, to_tag));
    let mut elsewhere_mac = typical(3, false);
    elsewhere_mac[DESTINATION_MAC_END] ^= 1;
    let mut elsewhere_address = typical(3, false);
    elsewhere_address[IP_DESTINATION_END] ^= 1;
    let mut classes = vec![
        Class::new("TCP", tcp, true, XDP_PASS, elsewhere),
        Class::new("UDP to another port", rtp, true, XDP_PASS, elsewhere),
        Class::new("BYE", in_dialog("BYE", "a6c85cf"), true, XDP_PASS, other),
        Class::new("200 with SDP", packet(messages::ok_response(2)), true, XDP_PASS, other),
        Class::new("ACK while off", in_dialog("ACK", "a6c85cf"), false, XDP_PASS, other),
        Class::new("INVITE to another MAC address", elsewhere_mac, true, XDP_PASS, None),
        Class::new("INVITE to another host's address", elsewhere_address, true, XDP_PASS, None),
        Class::new("ACK to the proxy's response, while on", in_dialog("ACK", "a6c85cf"), true, XDP_PASS, None),
        Class::new("ACK to our response", in_dialog("ACK", &ours), true, XDP_DROP, None),
        Class::new("typical INVITE while off, sent again", typical(3, false), false, XDP_PASS, None),
        Class::new("re-INVITE, typical, while on", typical(4, true), true, XDP_PASS, None),
    ];
    for size in Size::ALL {
        let invite = packet(messages::invite(size, 5, false));
        let name = format!("new INVITE, {}, sent again", size.name());
        classes.push(Class::new(name, invite, true, XDP_REDIRECT, Some(Target::TimesReading(2.5))));
    }
    classes
}

/// Returns the kinds of packets by which full tables are compared with those of a plain host.
fn table_costs() -> [TableCost; 2] {
    let invite = || messages::invite(Size::Typical, 6, false);
    [("new INVITE, IPv4", packet(invite())), ("new INVITE, IPv6", messages::ipv6_frame(invite(), PORT))]
        .map(|(name, packet)| TableCost { name, packet, above: Rounds::default() })
}

/// Offset of the last byte of the destination in an Ethernet header.
const DESTINATION_MAC_END: usize = 5;
/// Offset of the protocol in an IPv4 header behind an Ethernet header.
const IP_PROTOCOL: usize = 14 + 9;
/// Offset of the last byte of the destination in an IPv4 header behind an Ethernet header.
const IP_DESTINATION_END: usize = 14 + 19;
const IPPROTO_TCP: u8 = 6;
