//! The load generator: a small XDP program that `BPF_PROG_TEST_RUN` runs with live frames.

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

/// Number of frames that the generator creates before the kernel receives them. Fewer than `NAPI_POLL_WEIGHT`, because
/// a NIC does not deliver 64 frames at once under moderate load.
const BATCH: u32 = 16;
/// Number of frames that the generator creates before the kernel receives them, if the CPU is full: `NAPI_POLL_WEIGHT`,
/// as a NIC delivers then.
const FULL_BATCH: u32 = 64;
/// Rate in frames per second that exceeds what one CPU can generate and receive, unless the frames only get `XDP_TX`.
const FLAT_OUT: f64 = 4e6;

/// A generator on its host. One thread at a time may run it.
pub(crate) struct Generator {
    host: Namespace,
    /// Interface indices of its ends of the wires.
    nics: [u32; NICS],
    bench: Ebpf,
    _dispatched: Namespace,
    pace: Array<MapData, Pace>,
    frame: Vec<u8>,
}

/// The frames that a generator has sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Number of frames.
    pub(crate) frames: u64,
    /// Time of the first frame, in nanoseconds of `CLOCK_MONOTONIC`.
    from_ns: u64,
    /// Time at which the frame after the last would have been due.
    to_ns: u64,
}

impl Sent {
    /// Returns the duration of the load in seconds.
    pub(crate) fn seconds(self) -> f64 {
        (self.to_ns - self.from_ns) as f64 / 1e9
    }

    /// Returns the rate in frames per second.
    pub(crate) fn rate(self) -> f64 {
        self.frames as f64 / self.seconds()
    }

    /// Returns the frames of this generator and of `other`, from the first frame of either to the last.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            from_ns: self.from_ns.min(other.from_ns),
            to_ns: self.to_ns.max(other.to_ns),
        }
    }
}

impl Generator {
    /// Creates a generator that sends typical INVITEs into the NICs in rotation. Their numbers follow `first`.
    pub(crate) fn new(host: &Namespace, nics: [u32; NICS], first: u32) -> Result<Self> {
        let mut bench = programs::load()?;
        let pace = programs::map(&mut bench, "PACE")?;
        let dispatched = programs::keep_dispatched(programs::program(&mut bench, "generate")?)?;
        let mut generator = Self { host: host.clone(), nics, bench, _dispatched: dispatched, pace, frame: Vec::new() };
        generator.set_frame(messages::frame(messages::invite(Size::Typical, PLACEHOLDER, false), PORT), first)?;
        Ok(generator)
    }

    /// Changes the frame to send. The numbers of the frames follow `first`.
    pub(crate) fn set_frame(&mut self, frame: Vec<u8>, first: u32) -> Result<()> {
        self.frame = programs::without_checksum(frame);
        programs::set_template(&mut self.bench, &self.frame, first)
    }

    /// Sends `rate` frames per second for `duration`, or as many as possible, and leaves its CPU to nothing else.
    pub(crate) fn send(&mut self, rate: f64, duration: Duration) -> Result<Sent> {
        cpu::pin(cpu::GENERATOR)?;
        self.run(rate, duration, frame_count(rate, duration), BATCH, cpu::take_cpu)
    }

    /// Sends `frames` frames as fast as possible, and leaves its CPU to nothing else.
    pub(crate) fn send_at_once(&mut self, frames: u32) -> Result<Sent> {
        cpu::pin(cpu::GENERATOR)?;
        self.run(FLAT_OUT, Duration::MAX, frames, BATCH, cpu::take_cpu)
    }

    /// Sends as many frames as possible for `duration` on `cpu`, in the time that the answerers leave.
    pub(crate) fn fill(&mut self, cpu: usize, duration: Duration) -> Result<Sent> {
        cpu::pin(cpu)?;
        self.run(FLAT_OUT, duration, frame_count(FLAT_OUT, duration), FULL_BATCH, cpu::take_remaining_cpu)
    }

    fn run(
        &mut self,
        rate: f64,
        duration: Duration,
        frames: u32,
        batch: u32,
        set_priority: fn() -> Result<()>,
    ) -> Result<Sent> {
        let interval_ns = (1e9 / rate).round() as u64;
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let pace = Pace { interval_ns, duration_ns, nics: self.nics, ..Pace::default() };
        self.pace.set(0, pace, 0).context("write the map PACE")?;
        self.generate(frames, batch, set_priority)?;
        let Pace { sent, first_ns, last_ns, .. } = self.pace.get(&0, 0).context("read the map PACE")?;
        Ok(Sent { frames: sent, from_ns: first_ns, to_ns: last_ns + interval_ns })
    }

    fn generate(&mut self, frames: u32, batch: u32, set_priority: fn() -> Result<()>) -> Result<()> {
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
        // The kernel looks the interface index up in the namespace of the calling thread.
        self.host.run(|| {
            set_priority()?;
            generator.test_run(options).context("run BPF_PROG_TEST_RUN with live frames")
        })?;
        Ok(())
    }
}

/// Returns the number of frames to generate for `rate` frames per second over `duration`.
///
/// At most those of [`FLAT_OUT`]: a frame that is generated after the end of the duration is not sent, but costs time.
fn frame_count(rate: f64, duration: Duration) -> u32 {
    (rate.min(FLAT_OUT) * duration.as_secs_f64()).ceil() as u32
}
