//! The two CPUs of the benchmarks: the load is generated and received on the first, and answered on the second.
//! Pinning, real-time priorities, and CPU time used.
#![expect(unsafe_code, reason = "nix has no `sched_setscheduler`")]

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// CPU on which the load is generated and received.
pub(crate) const GENERATOR: usize = 0;
/// CPU on which the load is answered.
pub(crate) const ANSWERER: usize = 1;

/// Real-time priority of generators and answerers, above everything else on the machine.
pub(crate) const PRIORITY: i32 = 1;
/// Real-time priority of threads that preempt generators and answerers.
pub(crate) const HIGHER_PRIORITY: i32 = 2;

/// Pins the calling thread, and threads and processes that it starts, to `cpu`.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    let pinned = sched_setaffinity(Pid::from_raw(0), &set);
    pinned.with_context(|| format!("pin a thread to CPU {cpu}: the benchmarks require two CPUs"))
}

/// Lets the calling thread, and threads and processes that it starts, run on either CPU.
fn unpin() -> Result<()> {
    let mut set = CpuSet::new();
    set.set(GENERATOR)?;
    set.set(ANSWERER)?;
    sched_setaffinity(Pid::from_raw(0), &set).context("let a thread run on two CPUs")
}

/// Gives the calling thread its CPU for as long as it works: a generator that is held up does not generate the
/// requested load. Threads that it starts do not inherit this.
pub(crate) fn take_cpu() -> Result<()> {
    schedule(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, PRIORITY)
}

/// Gives the calling thread the CPU time that threads with [`HIGHER_PRIORITY`] leave. Threads that it starts do not
/// inherit this.
pub(crate) fn take_remaining_cpu() -> Result<()> {
    schedule(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, PRIORITY)
}

/// Runs `start` on the CPU of the answerers, with their priority. Threads and processes that it starts inherit both.
pub(crate) fn run_as_answerer<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    pin(ANSWERER)?;
    run_with_priority(PRIORITY, start)
}

/// Runs `work` on the CPU of the answerers, with a priority above theirs: for short work that has to be done in time.
/// Threads and processes that it starts inherit both.
pub(crate) fn run_before_answerers<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    pin(ANSWERER)?;
    run_with_priority(HIGHER_PRIORITY, work)
}

/// Runs `start` on either CPU, with this real-time priority. The kernel places the threads that it starts, or they pin
/// themselves.
pub(crate) fn run_unpinned<T>(priority: i32, start: impl FnOnce() -> Result<T>) -> Result<T> {
    unpin()?;
    run_with_priority(priority, start)
}

fn run_with_priority<T>(priority: i32, work: impl FnOnce() -> Result<T>) -> Result<T> {
    schedule(libc::SCHED_RR, priority)?;
    let done = work();
    schedule(libc::SCHED_OTHER, 0)?;
    done
}

/// Sets the scheduling policy and priority of the calling thread (sched(7)).
fn schedule(policy: i32, priority: i32) -> Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the kernel only reads the parameters, which outlive the call; 0 is the calling thread.
    let failed = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } != 0;
    if failed {
        return Err(io::Error::last_os_error()).context("set the scheduling policy of a thread, which requires root");
    }
    Ok(())
}

/// Returns the CPU time in seconds that the threads of a process have used so far.
///
/// Includes the softirqs that the kernel ran in their time slices, unless the kernel accounts for these separately
/// (`CONFIG_IRQ_TIME_ACCOUNTING`).
pub(crate) fn process_seconds(pid: u32) -> Result<f64> {
    let threads = format!("/proc/{pid}/task");
    let mut seconds = 0.0;
    for thread in fs::read_dir(&threads).with_context(|| format!("read {threads}"))? {
        seconds += thread_seconds(&thread?.path())?;
    }
    Ok(seconds)
}

/// Returns the CPU time in seconds that a thread has used so far, like [`process_seconds`]. `proc_path` is the thread's
/// directory in `/proc`.
pub(crate) fn thread_seconds(proc_path: &Path) -> Result<f64> {
    let path = proc_path.join("schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let nanoseconds: f64 = text.split(' ').next().unwrap_or_default().parse().context("a time in schedstat")?;
    Ok(nanoseconds / 1e9)
}

/// Returns the time in seconds that [`GENERATOR`] has spent in softirqs, which receive packets, since the machine
/// started. The kernel samples it, at 250 Hz for example.
pub(crate) fn receiving_seconds() -> Result<f64> {
    /// `sysconf(_SC_CLK_TCK)`: 100 on every architecture of Linux.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let name = format!("cpu{GENERATOR} ");
    // user, nice, system, idle, iowait, irq, softirq (proc(5)).
    let softirq = stat.lines().find_map(|line| line.strip_prefix(&name)?.split(' ').nth(6)?.parse::<f64>().ok());
    Ok(softirq.with_context(|| format!("no softirq of {name}in /proc/stat"))? / TICKS_PER_SECOND)
}
