//! A wire with the generator and the counter at its one end, and what is measured to come at its other one.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::xdp::XdpMode;
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use filter_tests::namespace::Namespace;
use filter_tests::wire::{self, CALLER_INTERFACE, PROXY_INTERFACE, WireOptions};

use crate::cpu;
use crate::layout::{PORT, Pace};
use crate::messages::{self, Size};
use crate::programs::{self, PLACEHOLDER};

/// Frames that the generator makes before it lets the kernel receive them: few, since a NIC does not bring sixty-four at once.
const BATCH: u32 = 16;
/// When no answer has come for so long, none will come any more.
const SILENCE: Duration = Duration::from_millis(200);
/// From one look at the counter to the next.
const PAUSE: Duration = Duration::from_millis(5);

/// Two hosts and a wire.
pub(crate) struct Stage {
    /// The host of what is measured.
    pub(crate) inside: Namespace,
    /// The host of the generator.
    pub(crate) outside: Namespace,
    /// The generator's end, by its number.
    ifindex: u32,
    bench: Ebpf,
    pace: Array<MapData, Pace>,
    counted: PerCpuArray<MapData, u64>,
    frame: Vec<u8>,
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

/// What the generator has sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Frames.
    pub(crate) frames: u64,
    /// How long that took.
    seconds: f64,
}

impl Sent {
    /// Frames a second.
    pub(crate) fn rate(self) -> f64 {
        self.frames as f64 / self.seconds
    }
}

impl Stage {
    /// A stage with so many queues at each end of the wire, and typical INVITEs to be sent.
    pub(crate) fn new(queues: u32) -> Result<Self> {
        let (outside, inside) = (Namespace::new()?, Namespace::new()?);
        wire::lay(&outside, &inside, WireOptions { quiet: true, queues, ..WireOptions::default() })?;
        // Without an XDP program, as with Kamailio, a veth takes XDP frames only with NAPI.
        inside.sh(&format!("ethtool -K {PROXY_INTERFACE} gro on"))?;
        let mut bench = programs::load()?;
        let (pace, counted) = (programs::map(&mut bench, "PACE")?, programs::map(&mut bench, "COUNTED")?);
        programs::program(&mut bench, "generate")?;
        let count = programs::program(&mut bench, "count")?;
        let ifindex = outside.run(|| {
            count.attach(CALLER_INTERFACE, XdpMode::Driver).context("attach the counter")?;
            nix::net::if_::if_nametoindex(CALLER_INTERFACE).context("the generator's end of the wire")
        })??;
        let mut stage = Self { inside, outside, ifindex, bench, pace, counted, frame: Vec::new() };
        stage.set_frame(messages::frame(messages::invite(Size::Typical, PLACEHOLDER, false), PORT)?)?;
        Ok(stage)
    }

    /// Changes what is sent.
    pub(crate) fn set_frame(&mut self, frame: Vec<u8>) -> Result<()> {
        self.frame = programs::without_checksum(frame);
        programs::set_template(&mut self.bench, &self.frame)
    }

    /// Sends frames at `rate` a second for `duration`, or as many as it can.
    pub(crate) fn send(&mut self, rate: f64, duration: Duration) -> Result<Sent> {
        cpu::pin(cpu::GENERATOR)?;
        let (interval_ns, duration_ns) = ((1e9 / rate).round() as u64, duration.as_nanos() as u64);
        let pace = Pace { interval_ns, duration_ns, ..Pace::default() };
        self.pace.set(0, pace, 0).context("the map PACE")?;
        self.generate((rate * duration.as_secs_f64()).ceil() as u32)?;
        let Pace { sent, first_ns, last_ns, .. } = self.pace.get(&0, 0).context("the map PACE")?;
        Ok(Sent { frames: sent, seconds: (last_ns - first_ns + interval_ns) as f64 / 1e9 })
    }

    /// Sends as [`Self::send`] does, and counts. `answers`: which counter has the answers.
    pub(crate) fn probe(&mut self, rate: f64, duration: Duration, answers: u32) -> Result<Probe> {
        let before = self.count(answers)?;
        let sent = self.send(rate, duration)?;
        let at_end = self.count(answers)? - before;
        let answered = self.settled(answers, before + sent.frames)? - before;
        Ok(Probe { sent: sent.frames, sent_rate: sent.rate(), answered, answer_rate: at_end as f64 / sent.seconds })
    }

    fn generate(&mut self, frames: u32) -> Result<()> {
        // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, self.frame.len() as u32, 0, self.ifindex, 0, 0].map(u32::to_ne_bytes).concat();
        let generator: &Xdp = programs::program(&mut self.bench, "generate")?;
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            ctx_in: Some(&context),
            repeat: frames,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        // The interface's number is looked up in the namespace of the calling thread.
        self.outside.run(|| {
            cpu::take_precedence()?;
            generator.test_run(options).context("BPF_PROG_TEST_RUN with live frames")
        })??;
        Ok(())
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
