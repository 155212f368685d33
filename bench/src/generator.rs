//! The generator of load: a small XDP program that `BPF_PROG_TEST_RUN` runs with live frames.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{Array, MapData};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use filter_lab::namespace::Namespace;

use crate::cpu;
use crate::layout::{NICS, PORT, Pace};
use crate::messages::{self, Size};
use crate::programs::{self, PLACEHOLDER};

/// Frames that the generator makes before it lets the kernel receive them: few, since a NIC does not bring sixty-four at once.
const BATCH: u32 = 16;
/// But it does if its CPU is full: so many are received before others have their turn (`NAPI_POLL_WEIGHT`).
const FULL_BATCH: u32 = 64;
/// In frames a second, more than one CPU can make and receive, unless all that is done with them is `XDP_TX`.
const FLAT_OUT: f64 = 4e6;

/// A generator on its host; one thread at a time has it run.
pub(crate) struct Generator {
    host: Namespace,
    /// Its ends of the wires, by their numbers.
    nics: [u32; NICS],
    bench: Ebpf,
    _dispatched: Namespace,
    pace: Array<MapData, Pace>,
    frame: Vec<u8>,
}

/// What a generator has sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Frames.
    pub(crate) frames: u64,
    /// From when to when, in nanoseconds of `CLOCK_MONOTONIC`.
    from_ns: u64,
    to_ns: u64,
}

impl Sent {
    /// How long that took.
    pub(crate) fn seconds(self) -> f64 {
        (self.to_ns - self.from_ns) as f64 / 1e9
    }

    /// Frames a second.
    pub(crate) fn rate(self) -> f64 {
        self.frames as f64 / self.seconds()
    }

    /// This and what another generator has sent: from when the first began until the last had ended.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            from_ns: self.from_ns.min(other.from_ns),
            to_ns: self.to_ns.max(other.to_ns),
        }
    }
}

impl Generator {
    /// One that sends typical INVITEs, numbered from `first` on, into the NICs in turn.
    pub(crate) fn new(host: &Namespace, nics: [u32; NICS], first: u32) -> Result<Self> {
        let mut bench = programs::load()?;
        let pace = programs::map(&mut bench, "PACE")?;
        let dispatched = programs::keep_dispatched(programs::program(&mut bench, "generate")?)?;
        let mut generator = Self { host: host.clone(), nics, bench, _dispatched: dispatched, pace, frame: Vec::new() };
        generator.set_frame(messages::frame(messages::invite(Size::Typical, PLACEHOLDER, false), PORT)?, first)?;
        Ok(generator)
    }

    /// Changes what is sent, and from which number on.
    pub(crate) fn set_frame(&mut self, frame: Vec<u8>, first: u32) -> Result<()> {
        self.frame = programs::without_checksum(frame);
        programs::set_template(&mut self.bench, &self.frame, first)
    }

    /// Sends frames at `rate` a second for `duration`, or as many as it can. Nobody else has its CPU meanwhile.
    pub(crate) fn send(&mut self, rate: f64, duration: Duration) -> Result<Sent> {
        cpu::pin(cpu::GENERATOR)?;
        self.run(rate, duration, frames(rate, duration), BATCH, cpu::take_precedence)
    }

    /// Sends so many frames as fast as it can. Nobody else has its CPU meanwhile.
    pub(crate) fn send_at_once(&mut self, frames: u32) -> Result<Sent> {
        cpu::pin(cpu::GENERATOR)?;
        self.run(FLAT_OUT, Duration::MAX, frames, BATCH, cpu::take_precedence)
    }

    /// Sends as many frames as it can for `duration`, on `cpu`, in what time the answerers leave it there.
    pub(crate) fn fill(&mut self, cpu: usize, duration: Duration) -> Result<Sent> {
        cpu::pin(cpu)?;
        self.run(FLAT_OUT, duration, frames(FLAT_OUT, duration), FULL_BATCH, cpu::take_what_is_left)
    }

    fn run(
        &mut self,
        rate: f64,
        duration: Duration,
        frames: u32,
        batch: u32,
        begin: fn() -> Result<()>,
    ) -> Result<Sent> {
        let interval_ns = (1e9 / rate).round() as u64;
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let pace = Pace { interval_ns, duration_ns, nics: self.nics, ..Pace::default() };
        self.pace.set(0, pace, 0).context("the map PACE")?;
        self.generate(frames, batch, begin)?;
        let Pace { sent, first_ns, last_ns, .. } = self.pace.get(&0, 0).context("the map PACE")?;
        Ok(Sent { frames: sent, from_ns: first_ns, to_ns: last_ns + interval_ns })
    }

    fn generate(&mut self, frames: u32, batch: u32, begin: fn() -> Result<()>) -> Result<()> {
        // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, self.frame.len() as u32, 0, self.nics[0], 0, 0].map(u32::to_ne_bytes).concat();
        let generator: &Xdp = programs::program(&mut self.bench, "generate")?;
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            ctx_in: Some(&context),
            repeat: frames,
            attrs: TestRunAttrs::new().xdp_live_frames(batch),
            ..TestRunOptions::default()
        };
        // The interface's number is looked up in the namespace of the calling thread.
        self.host.run(|| {
            begin()?;
            generator.test_run(options).context("BPF_PROG_TEST_RUN with live frames")
        })?;
        Ok(())
    }
}

/// How many frames that is; of a rate beyond [`FLAT_OUT`] no more than of that, so that who is as fast is done sooner. Each frame that
/// comes too late to be sent takes its time too.
fn frames(rate: f64, duration: Duration) -> u32 {
    (rate.min(FLAT_OUT) * duration.as_secs_f64()).ceil() as u32
}
