//! The cost of the filter apart from responses: throughput of traffic that passes, compared with a bare `XDP_PASS`;
//! memory; time to start and to attach.

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use aya::programs::xdp::XdpMode;
use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::wire::{self, End, Family, PROXY_INTERFACE};

use crate::layout::PORT;
use crate::messages::{self, Size};
use crate::programs::{self, PLACEHOLDER};
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use crate::{Effort, cpu};

/// Number of frames sent at a time: some 10 ms.
const SEND: u32 = 16_000;
/// Number of iterations of a round. Each sends with a bare `XDP_PASS` and with sip-filter, so that a disturbance of the
/// machine affects both alike.
const ITERATIONS: u32 = 30;
/// Port other than the proxy's.
const OTHER_PORT: u16 = 30_000;
/// Number of RX and TX queues of the NIC.
const QUEUES: u32 = 2;
const MIB: f64 = 1024.0 * 1024.0;

/// A kind of packet that passes.
struct Class {
    name: &'static str,
    frame: Vec<u8>,
    /// Frames per second with a bare `XDP_PASS` on the NIC.
    bare: Rounds,
    /// Frames per second with sip-filter on the NIC.
    filter: Rounds,
}

/// The time and memory that a daemon takes.
#[derive(Default)]
struct Footprint {
    /// Time to load and verify the program with its maps.
    load_ms: Rounds,
    /// Time to attach the loaded program.
    attach_ms: Rounds,
    /// Time from the start of the process until it is ready.
    start_ms: Rounds,
    /// Resident memory in MiB.
    resident: Rounds,
    /// Memory of the BPF maps in MiB.
    maps: Rounds,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    let mut classes = classes()?;
    let mut footprint = Footprint::default();
    let iterations = ITERATIONS / effort.divisor.min(5);
    for _ in 0..effort.rounds {
        round(&mut classes, iterations, &mut footprint)?;
        measure_load_and_attach(&mut footprint)?;
    }
    for Class { name, bare, filter, .. } in classes {
        let ratio = filter.zip_with(&bare, |filter, bare| filter / bare);
        report.target(format!("{name}: what passes, by a bare XDP_PASS"), ratio.median(), Bound::AtLeast(0.97));
        report.figure("passing", format!("{name}: with bare XDP_PASS"), "1/s", bare);
        report.figure("passing", format!("{name}: with sip-filter"), "1/s", filter);
    }
    let Footprint { load_ms, attach_ms, start_ms, resident, maps } = footprint;
    report.target("resident memory on two queues, MiB", resident.median(), Bound::AtMost(48.0));
    report.figure("passing", "resident memory on two queues, after the load", "MiB", resident);
    report.figure("passing", "BPF maps, by the kernel's account", "MiB", maps);
    report.figure("passing", "to load the program and its maps, and to verify it", "ms", load_ms);
    report.figure("passing", "to attach the loaded program, native", "ms", attach_ms);
    report.figure("passing", "from the start of the process to attached and ready", "ms", start_ms);
    Ok(())
}

/// Returns the kinds of packets to measure.
fn classes() -> Result<Vec<Class>> {
    let class = |name, message, port| {
        let frame = messages::frame(message, port);
        anyhow::Ok(Class { name, frame, bare: Rounds::default(), filter: Rounds::default() })
    };
    Ok(vec![
        class("UDP to another port", vec![0x80; 172], OTHER_PORT)?,
        class("BYE", messages::in_dialog("BYE", PLACEHOLDER, "a6c85cf"), PORT)?,
        class("re-INVITE, typical, while on", messages::invite(Size::Typical, PLACEHOLDER, true), PORT)?,
    ])
}

/// Measures one round on two stages: one with a bare `XDP_PASS`, one with the daemon.
fn round(classes: &mut [Class], iterations: u32, footprint: &mut Footprint) -> Result<()> {
    let (mut bare, mut filter) = (Stage::new(QUEUES)?, Stage::new(QUEUES)?);
    let mut bench = programs::load()?;
    let pass = programs::program(&mut bench, "bare_pass")?;
    bare.inside.run(|| pass.attach(PROXY_INTERFACE, XdpMode::Driver)).context("attach the bare XDP_PASS")?;
    let installation = Installation::new(&filter.inside, &Installation::binary_from_env());
    cpu::pin(cpu::ANSWERER)?;
    let start = Instant::now();
    let daemon = installation.start(&["--iface", PROXY_INTERFACE, "--mode", "native"]);
    footprint.start_ms.add(milliseconds(start));
    installation.run(&["on"]);
    for class in classes {
        class.measure(&mut bare, &mut filter, iterations).context(class.name)?;
    }
    footprint.resident.add(resident_bytes(&daemon)? / MIB);
    footprint.maps.add(map_bytes(&daemon)? / MIB);
    Ok(())
}

impl Class {
    /// Sends packets of this kind to both stages alternately.
    fn measure(&mut self, bare: &mut Stage, filter: &mut Stage, iterations: u32) -> Result<()> {
        let _sockets = [bind_ports(bare), bind_ports(filter)];
        bare.set_frame(self.frame.clone())?;
        filter.set_frame(self.frame.clone())?;
        let before = [received(bare), received(filter)];
        for _ in 0..iterations {
            self.bare.add(bare.send_at_once(SEND)?.rate());
            self.filter.add(filter.send_at_once(SEND)?.rate());
        }
        let sent = f64::from(SEND * iterations);
        for (after, before) in [received(bare), received(filter)].into_iter().zip(before) {
            let received = after - before;
            ensure!(received as f64 >= sent * 0.999, "only {received} of {sent} frames arrived at the NIC");
        }
        Ok(())
    }
}

/// Measures the part of a start that is the kernel's: loads the program as the daemon does, and attaches it to the NIC.
fn measure_load_and_attach(footprint: &mut Footprint) -> Result<()> {
    let stage = Stage::new(QUEUES)?;
    cpu::pin(cpu::ANSWERER)?;
    let start = Instant::now();
    let mut filter = programs::filter()?;
    footprint.load_ms.add(milliseconds(start));
    let program = programs::filter_program(&mut filter)?;
    footprint.attach_ms.add(stage.inside.run(|| {
        let start = Instant::now();
        program.attach(PROXY_INTERFACE, XdpMode::Driver).context("attach the filter's program")?;
        anyhow::Ok(milliseconds(start))
    })?);
    Ok(())
}

/// Returns the time since `since` in milliseconds.
fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Binds sockets to the ports to which frames are sent. Otherwise the kernel would answer with ICMP errors.
fn bind_ports(stage: &Stage) -> [UdpSocket; 2] {
    let bind = |port| stage.inside.bind_udp(SocketAddr::new(End::Proxy.address(Family::V4), port));
    [bind(PORT), bind(OTHER_PORT)]
}

/// Returns the number of packets that the NIC has received.
fn received(stage: &Stage) -> u64 {
    wire::interface_counter(&stage.inside, PROXY_INTERFACE, "rx", "packets")
}

/// Returns the resident memory (`VmRSS`) of the daemon in bytes.
fn resident_bytes(daemon: &Daemon) -> Result<f64> {
    let status =
        fs::read_to_string(format!("/proc/{}/status", daemon.pid())).context("read the daemon's status in /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    let kib: f64 = line.and_then(|kib| kib.trim().parse().ok()).context("no VmRSS in the daemon's status")?;
    Ok(kib * 1024.0)
}

/// Returns the kernel memory of the daemon's BPF maps in bytes. A map with several descriptors counts once.
fn map_bytes(daemon: &Daemon) -> Result<f64> {
    let mut maps: HashMap<u64, f64> = HashMap::new();
    let folder = format!("/proc/{}/fdinfo", daemon.pid());
    for entry in fs::read_dir(&folder).with_context(|| folder.clone())? {
        // The daemon may have closed the descriptor meanwhile.
        let Ok(info) = fs::read_to_string(entry?.path()) else { continue };
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        if let (Some(id), Some(memory)) = (field("map_id:"), field("memlock:")) {
            maps.insert(id, memory as f64);
        }
    }
    ensure!(!maps.is_empty(), "the daemon has no BPF maps in {folder}");
    Ok(maps.values().sum())
}
