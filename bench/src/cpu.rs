//! The two CPUs: what generates load and receives runs on the first, what answers on the second; and how busy they were.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Where load is made, and received.
pub(crate) const GENERATOR: usize = 0;
/// Where answers are made.
pub(crate) const ANSWERER: usize = 1;

/// The real-time priority of generators and answerers: before what else may run on the machine.
pub(crate) const PRECEDENCE: i32 = 1;
/// The real-time priority of those that go before them.
pub(crate) const MORE_PRECEDENCE: i32 = 2;

/// Keeps the calling thread, and what it starts, on `cpu`.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pin a thread to CPU {cpu}: it takes two CPUs"))
}

/// Lets the calling thread, and what it starts, run on either CPU.
fn unpin() -> Result<()> {
    let mut set = CpuSet::new();
    set.set(GENERATOR)?;
    set.set(ANSWERER)?;
    sched_setaffinity(Pid::from_raw(0), &set).context("let a thread run on two CPUs")
}

/// Lets nobody else have the CPU of the calling thread while that one works: a generator that is held up makes another load
/// than the one asked for. It is for this thread alone, not for what it starts.
pub(crate) fn take_precedence() -> Result<()> {
    schedule(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, PRECEDENCE)
}

/// Does `start` on the CPU of the answerers. What it starts stays there, and goes before what else may run on the machine.
pub(crate) fn as_answerer<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    pin(ANSWERER)?;
    with_priority(PRECEDENCE, start)
}

/// Lets nobody have the CPU of the calling thread but those with [`MORE_PRECEDENCE`], whenever they have work. It is for this thread
/// alone, not for what it starts.
pub(crate) fn take_what_is_left() -> Result<()> {
    schedule(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, PRECEDENCE)
}

/// Does `start` with this real-time priority, on any CPU: what it starts goes where the kernel, or an option of its own, wants it.
pub(crate) fn anywhere<T>(priority: i32, start: impl FnOnce() -> Result<T>) -> Result<T> {
    unpin()?;
    with_priority(priority, start)
}

/// Does `work` on the CPU of the answerers, and before them: for those whose little work has to be done in time. What it starts
/// stays there too.
pub(crate) fn before_answerers<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    pin(ANSWERER)?;
    with_priority(MORE_PRECEDENCE, work)
}

fn with_priority<T>(priority: i32, work: impl FnOnce() -> Result<T>) -> Result<T> {
    schedule(libc::SCHED_RR, priority)?;
    let done = work();
    schedule(libc::SCHED_OTHER, 0)?;
    done
}

/// Gives the calling thread a scheduling policy (sched(7)).
fn schedule(policy: i32, priority: i32) -> Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the kernel reads the parameters, which live until it has, and writes nothing; 0 is the calling thread.
    let failed = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } != 0;
    if failed {
        return Err(io::Error::last_os_error()).context("set the scheduling policy of a thread: it takes root");
    }
    Ok(())
}

/// How long the threads of a process have run so far, in seconds. What the kernel did by the way while they ran (softirqs) is
/// in it, unless the kernel is configured to account for it apart (`CONFIG_IRQ_TIME_ACCOUNTING`).
pub(crate) fn process_seconds(pid: u32) -> Result<f64> {
    let threads = format!("/proc/{pid}/task");
    let mut seconds = 0.0;
    for thread in fs::read_dir(&threads).with_context(|| format!("read {threads}"))? {
        seconds += thread_seconds(&thread?.path())?;
    }
    Ok(seconds)
}

/// The same of one thread, by its folder in `/proc`.
pub(crate) fn thread_seconds(thread: &Path) -> Result<f64> {
    let path = thread.join("schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let nanoseconds: f64 = text.split(' ').next().unwrap_or_default().parse().context("a time in schedstat")?;
    Ok(nanoseconds / 1e9)
}

/// How long [`GENERATOR`] has been receiving (softirqs) since the machine started, in seconds. The kernel samples it, 250 times a
/// second say.
pub(crate) fn receiving_seconds() -> Result<f64> {
    /// `sysconf(_SC_CLK_TCK)`, which is this on every architecture that Linux has.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let name = format!("cpu{GENERATOR} ");
    // user, nice, system, idle, iowait, irq, softirq (proc(5)).
    let softirq = stat.lines().find_map(|line| line.strip_prefix(&name)?.split(' ').nth(6)?.parse::<f64>().ok());
    Ok(softirq.with_context(|| format!("no softirq of {name}in /proc/stat"))? / TICKS_PER_SECOND)
}
