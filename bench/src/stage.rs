//! The stage of a benchmark: two hosts, wires between them, and a generator and a counter at the caller's end. The
//! other end is for what is measured.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use aya::programs::xdp::XdpMode;
use filter_lab::namespace::Namespace;
use filter_lab::wire::{self, CALLER_INTERFACE, PROXY_INTERFACE, WireOptions};

use crate::generator::{Generator, Sent};
use crate::layout::NICS;
use crate::programs;

/// Time without a response after which no more are expected.
const SILENCE: Duration = Duration::from_millis(100);
/// Interval at which the counter is read.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Generator's end of a second wire.
const SECOND_CALLER_INTERFACE: &str = "wire1";
/// Proxy's end of a second wire.
pub(crate) const SECOND_PROXY_INTERFACE: &str = "nic1";

/// Two hosts, and the wires between them.
pub(crate) struct Stage {
    /// Host of what is measured.
    pub(crate) inside: Namespace,
    /// Host of the generators.
    pub(crate) outside: Namespace,
    /// Interface indices of the generators' ends. With one wire, both are the same.
    nics: [u32; NICS],
    generator: Generator,
    _counter: Ebpf,
    counted: PerCpuArray<MapData, u64>,
}

/// The outcome of a load.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Number of frames sent.
    pub(crate) sent: u64,
    /// Frames sent per second.
    pub(crate) sent_rate: f64,
    /// Number of frames answered, including those answered after the end of the load.
    pub(crate) answered: u64,
    /// Frames answered per second while the load lasted.
    pub(crate) answer_rate: f64,
}

impl Stage {
    /// Creates a stage with one wire, with `queues` queues at each end. Its generator sends typical INVITEs.
    pub(crate) fn new(queues: u32) -> Result<Self> {
        Self::over([CALLER_INTERFACE; NICS], queues)
    }

    /// Creates a stage with two wires, each with `queues` queues at each end.
    pub(crate) fn with_two_wires(queues: u32) -> Result<Self> {
        Self::over([CALLER_INTERFACE, SECOND_CALLER_INTERFACE], queues)
    }

    fn over(ends: [&str; NICS], queues: u32) -> Result<Self> {
        let (outside, inside) = (Namespace::new(), Namespace::new());
        wire::connect(&outside, &inside, WireOptions { quiet: true, queues, ..WireOptions::default() });
        // Without an XDP program, as with Kamailio alone, a veth receives XDP frames only with NAPI, which GRO turns
        // on.
        inside.exec(&format!("ethtool -K {PROXY_INTERFACE} gro on"));
        if ends[0] != ends[1] {
            lay_second_wire(&outside, &inside, queues);
        }
        let mut counter = programs::load()?;
        let counted = programs::map(&mut counter, "COUNTED")?;
        let count = programs::program(&mut counter, "count")?;
        let nics = outside.run(|| {
            count.attach(ends[0], XdpMode::Driver).context("attach the counter")?;
            if ends[0] != ends[1] {
                count.attach(ends[1], XdpMode::Driver).context("attach the counter to the second wire")?;
            }
            let index = |end| nix::net::if_::if_nametoindex(end).context("find the generator's end of a wire");
            anyhow::Ok([index(ends[0])?, index(ends[1])?])
        })?;
        let generator = Generator::new(&outside, nics, 0)?;
        Ok(Self { inside, outside, nics, generator, _counter: counter, counted })
    }

    /// Changes the frame to send.
    pub(crate) fn set_frame(&mut self, frame: Vec<u8>) -> Result<()> {
        self.generator.set_frame(frame, 0)
    }

    /// Sends `frames` frames as fast as possible.
    pub(crate) fn send_at_once(&mut self, frames: u32) -> Result<Sent> {
        self.generator.send_at_once(frames)
    }

    /// Sends `rate` frames per second for `duration`, or as many as possible, and counts the responses at index
    /// `counter`.
    pub(crate) fn probe(&mut self, rate: f64, duration: Duration, counter: u32) -> Result<Probe> {
        let before = self.count(counter)?;
        let sent = self.generator.send(rate, duration)?;
        self.outcome(before, sent, counter)
    }

    /// Sends as many frames from each of `cpus` as the answerers there leave time for, and counts the responses at
    /// index `counter`.
    pub(crate) fn fill(&self, cpus: &[usize], duration: Duration, counter: u32) -> Result<Probe> {
        // Ranges of numbers that do not overlap with one another, nor with that of `self.generator`.
        let generators = cpus.iter().map(|cpu| Generator::new(&self.outside, self.nics, (*cpu as u32 + 1) << 28));
        let mut generators = generators.collect::<Result<Vec<_>>>()?;
        let before = self.count(counter)?;
        let sent = thread::scope(|scope| {
            let fill = |(generator, cpu): (_, &usize)| {
                let (generator, cpu): (&mut Generator, usize) = (generator, *cpu);
                scope.spawn(move || generator.fill(cpu, duration))
            };
            let running = generators.iter_mut().zip(cpus).map(fill).collect::<Vec<_>>();
            let ended =
                running.into_iter().map(|thread| thread.join().map_err(|_panic| anyhow!("a generator panicked"))?);
            ended.collect::<Result<Vec<_>>>()
        })?;
        let sent = sent.into_iter().reduce(Sent::merge).context("no CPU to generate on")?;
        self.outcome(before, sent, counter)
    }

    /// Returns the outcome of the load `sent`, which has just ended. `before` is the count before it began.
    fn outcome(&self, before: u64, sent: Sent, counter: u32) -> Result<Probe> {
        let at_end = self.count(counter)? - before;
        let answered = self.settled(counter, before + sent.frames)? - before;
        Ok(Probe { sent: sent.frames, sent_rate: sent.rate(), answered, answer_rate: at_end as f64 / sent.seconds() })
    }

    /// Returns the sum over all CPUs of the count at index `counter`.
    fn count(&self, counter: u32) -> Result<u64> {
        Ok(self.counted.get(&counter, 0).context("read the map COUNTED")?.iter().sum())
    }

    /// Waits until the count at index `counter` has reached `expected` or has not changed for [`SILENCE`], and returns
    /// it.
    fn settled(&self, counter: u32, expected: u64) -> Result<u64> {
        let (mut last, mut change) = (self.count(counter)?, Instant::now());
        while last < expected && change.elapsed() < SILENCE {
            thread::sleep(POLL_INTERVAL);
            let now = self.count(counter)?;
            if now != last {
                (last, change) = (now, Instant::now());
            }
        }
        Ok(last)
    }
}

/// Creates a second wire. It has no addresses, since responses to its frames need none.
fn lay_second_wire(outside: &Namespace, inside: &Namespace, queues: u32) {
    let end = format!("numrxqueues {queues} numtxqueues {queues}");
    outside.ip(&format!(
        "link add {SECOND_CALLER_INTERFACE} {end} type veth peer name {SECOND_PROXY_INTERFACE} {end} netns {}",
        inside.path().display(),
    ));
    for (host, interface) in [(outside, SECOND_CALLER_INTERFACE), (inside, SECOND_PROXY_INTERFACE)] {
        host.exec(&format!("ethtool -K {interface} gro on"));
        host.ip(&format!("link set {interface} up"));
    }
    wire::wait_until_up(outside, SECOND_CALLER_INTERFACE);
    wire::wait_until_up(inside, SECOND_PROXY_INTERFACE);
}
