//! The two CPUs: what generates load and receives runs on the first, what answers on the second; and how busy they were.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use filter_tests::process;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Where load is made, and received.
pub(crate) const GENERATOR: usize = 0;
/// Where answers are made.
pub(crate) const ANSWERER: usize = 1;

/// Keeps the calling thread, and what it starts, on `cpu`.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pin a thread to CPU {cpu}: it takes two CPUs"))
}

/// Lets nobody else have the CPU of the calling thread while that one works: a generator that is held up makes another load
/// than the one asked for. It is for this thread alone, not for what it starts.
pub(crate) fn take_precedence() -> Result<()> {
    chrt(&["--fifo", "--reset-on-fork"], "1")
}

/// Does `start` on the CPU of the answerers. What it starts stays there, and goes before what else may run on the machine.
pub(crate) fn as_answerer<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    pin(ANSWERER)?;
    chrt(&["--rr"], "1")?;
    let started = start();
    chrt(&["--other"], "0")?;
    started
}

/// Gives the calling thread a scheduling policy (sched(7)).
fn chrt(policy: &[&str], priority: &str) -> Result<()> {
    let thread = nix::unistd::gettid().to_string();
    process::output(Command::new("chrt").args(policy).args(["--pid", priority, &thread]))
        .context("set the scheduling policy of a thread: it takes root")?;
    Ok(())
}

/// What it has taken to answer, apart from making the load, since the machine started: what [`ANSWERER`] was busy with, and
/// the receive work (softirq) of [`GENERATOR`], in seconds. The kernel samples it, 250 times a second say.
pub(crate) fn answering_seconds() -> Result<f64> {
    /// `sysconf(_SC_CLK_TCK)`, which is this on every architecture that Linux has.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let of = |cpu: usize| {
        let name = format!("cpu{cpu}");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(' '));
        let ticks = line.map(|line| line.split(' ').filter_map(|ticks| ticks.parse().ok()).collect::<Vec<f64>>());
        ticks.filter(|ticks| ticks.len() >= 7).with_context(|| format!("no {name} in /proc/stat"))
    };
    // user, nice, system, idle, iowait, irq, softirq (proc(5)).
    let (answerer, generator) = (of(ANSWERER)?, of(GENERATOR)?);
    let busy = answerer[0] + answerer[1] + answerer[2] + answerer[5] + answerer[6];
    Ok((busy + generator[6]) / TICKS_PER_SECOND)
}
