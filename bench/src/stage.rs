//! Wires with generators and the counter at their one end, and what is measured to come at their other one.

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

/// When no answer has come for so long, none will come any more.
const SILENCE: Duration = Duration::from_millis(100);
/// From one look at the counter to the next.
const PAUSE: Duration = Duration::from_millis(5);
/// The ends of a second wire.
const SECOND_CALLER_INTERFACE: &str = "wire1";
pub(crate) const SECOND_PROXY_INTERFACE: &str = "nic1";

/// Two hosts and the wires between them.
pub(crate) struct Stage {
    /// The host of what is measured.
    pub(crate) inside: Namespace,
    /// The host of the generators.
    pub(crate) outside: Namespace,
    /// The generators' ends, by their numbers; twice the same, if there is one wire.
    nics: [u32; NICS],
    generator: Generator,
    _counter: Ebpf,
    counted: PerCpuArray<MapData, u64>,
}

/// What has become of a load.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Frames that were sent.
    pub(crate) sent: u64,
    /// Frames a second.
    pub(crate) sent_rate: f64,
    /// Answers, those after the end of the load too.
    pub(crate) answered: u64,
    /// Answers a second, as long as the load lasted.
    pub(crate) answer_rate: f64,
}

impl Stage {
    /// A stage with one wire, so many queues at each end of it, and typical INVITEs to be sent.
    pub(crate) fn new(queues: u32) -> Result<Self> {
        Self::over([CALLER_INTERFACE; NICS], queues)
    }

    /// The same with two wires.
    pub(crate) fn with_two_wires(queues: u32) -> Result<Self> {
        Self::over([CALLER_INTERFACE, SECOND_CALLER_INTERFACE], queues)
    }

    fn over(ends: [&str; NICS], queues: u32) -> Result<Self> {
        let (outside, inside) = (Namespace::new(), Namespace::new());
        wire::connect(&outside, &inside, WireOptions { quiet: true, queues, ..WireOptions::default() });
        // Without an XDP program, as with Kamailio, a veth takes XDP frames only with NAPI.
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
            let index = |end| nix::net::if_::if_nametoindex(end).context("the generator's end of a wire");
            anyhow::Ok([index(ends[0])?, index(ends[1])?])
        })?;
        let generator = Generator::new(&outside, nics, 0)?;
        Ok(Self { inside, outside, nics, generator, _counter: counter, counted })
    }

    /// Changes what is sent.
    pub(crate) fn set_frame(&mut self, frame: Vec<u8>) -> Result<()> {
        self.generator.set_frame(frame, 0)
    }

    /// Sends so many frames as fast as it can.
    pub(crate) fn send_at_once(&mut self, frames: u32) -> Result<Sent> {
        self.generator.send_at_once(frames)
    }

    /// Sends frames at `rate` a second for `duration`, or as many as it can, and counts. `answers`: which counter has the answers.
    pub(crate) fn probe(&mut self, rate: f64, duration: Duration, answers: u32) -> Result<Probe> {
        let before = self.count(answers)?;
        let sent = self.generator.send(rate, duration)?;
        self.counted_since(before, sent, answers)
    }

    /// Sends from each of these CPUs as much as the answerers there leave it time for, and counts.
    pub(crate) fn fill(&mut self, cpus: &[usize], duration: Duration, answers: u32) -> Result<Probe> {
        // Numbers that no other generator comes to.
        let generators = cpus.iter().map(|cpu| Generator::new(&self.outside, self.nics, (*cpu as u32 + 1) << 28));
        let mut generators = generators.collect::<Result<Vec<_>>>()?;
        let before = self.count(answers)?;
        let sent = thread::scope(|scope| {
            let fill = |(generator, cpu): (_, &usize)| {
                let (generator, cpu): (&mut Generator, usize) = (generator, *cpu);
                scope.spawn(move || generator.fill(cpu, duration))
            };
            let running = generators.iter_mut().zip(cpus).map(fill).collect::<Vec<_>>();
            let ended =
                running.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a generator has panicked"))?);
            ended.collect::<Result<Vec<_>>>()
        })?;
        let sent = sent.into_iter().reduce(Sent::and).context("no CPU to generate on")?;
        self.counted_since(before, sent, answers)
    }

    /// What has become of `sent`, which has just ended.
    fn counted_since(&self, before: u64, sent: Sent, answers: u32) -> Result<Probe> {
        let at_end = self.count(answers)? - before;
        let answered = self.settled(answers, before + sent.frames)? - before;
        Ok(Probe { sent: sent.frames, sent_rate: sent.rate(), answered, answer_rate: at_end as f64 / sent.seconds() })
    }

    fn count(&self, answers: u32) -> Result<u64> {
        Ok(self.counted.get(&answers, 0).context("the map COUNTED")?.iter().sum())
    }

    /// The counter, when it has reached `expected`, or has come to rest.
    fn settled(&self, answers: u32, expected: u64) -> Result<u64> {
        let (mut last, mut change) = (self.count(answers)?, Instant::now());
        while last < expected && change.elapsed() < SILENCE {
            thread::sleep(PAUSE);
            let now = self.count(answers)?;
            if now != last {
                (last, change) = (now, Instant::now());
            }
        }
        Ok(last)
    }
}

/// A wire beside the first one. It has no addresses: what is answered from it needs none.
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
