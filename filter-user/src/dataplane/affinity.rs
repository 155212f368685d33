//! Pinning of threads to CPUs, and the CPUs that are available to the process.

use std::io;
use std::panic::resume_unwind;
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::Error;
use crate::dataplane::cpus::{CpuList, ranges};

/// The calling thread, for `sched_setaffinity(2)`.
const SELF: Pid = Pid::from_raw(0);

/// Checks that each CPU of the list is available.
pub(super) fn check(cpus: &CpuList) -> Result<(), Error> {
    let available = run_in_thread(available_cpus).and_then(|available| available).map_err(Error::Cpus)?;
    match cpus.iter().find(|cpu| !available.contains(cpu)) {
        Some(cpu) => Err(Error::Cpu { cpu, usable: ranges(&available) }),
        None => Ok(()),
    }
}

/// Returns the CPUs that are online and in the cpuset of the process. Afterwards, the calling thread may run on all of
/// them.
///
/// The kernel computes them: from a request for all CPUs it accepts those of the cpuset, and of these it reports those
/// that are online. The affinity with which the process was started (`taskset`, `CPUAffinity=`) is not a limit, because
/// the kernel does not treat it as one.
fn available_cpus() -> io::Result<Vec<usize>> {
    let mut all = CpuSet::new();
    for cpu in 0..CpuSet::count() {
        all.set(cpu)?;
    }
    sched_setaffinity(SELF, &all)?;
    let available = sched_getaffinity(SELF)?;
    Ok((0..CpuSet::count()).filter(|cpu| available.is_set(*cpu).unwrap_or(false)).collect())
}

/// Pins the calling thread to a CPU. The error names the CPU.
pub(super) fn pin_current_thread(cpu: usize) -> io::Result<()> {
    let mut one = CpuSet::new();
    one.set(cpu).and_then(|()| sched_setaffinity(SELF, &one)).map_err(|error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("cannot be pinned to CPU {cpu}: {error}"))
    })
}

/// Runs `work` on a CPU, in a thread of its own.
pub(super) fn run_pinned<T: Send>(cpu: usize, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    run_in_thread(|| pin_current_thread(cpu).map(|()| work())).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot be pinned to CPU {cpu}: cannot start a thread: {error}"))
    })?
}

/// Runs `work` in a thread of its own, so that the affinity of the calling thread does not change.
fn run_in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, work)?;
        Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use nix::sched::{CpuSet, sched_getaffinity};

    use super::{Error, SELF, available_cpus, check, pin_current_thread, run_in_thread, run_pinned};

    /// Returns the CPUs on which the calling thread may run.
    fn affinity() -> Vec<usize> {
        let affinity = sched_getaffinity(SELF).unwrap();
        (0..CpuSet::count()).filter(|cpu| affinity.is_set(*cpu).unwrap()).collect()
    }

    fn all_cpus() -> Vec<usize> {
        run_in_thread(available_cpus).unwrap().unwrap()
    }

    #[test]
    fn pinned_work_runs_on_its_cpu_and_the_calling_thread_stays_where_it_is() {
        let before = affinity();
        for cpu in all_cpus() {
            assert_eq!(run_pinned(cpu, affinity).unwrap(), [cpu]);
        }
        assert_eq!(affinity(), before);
    }

    #[test]
    fn affinity_of_the_process_does_not_limit_the_available_cpus() {
        let all = all_cpus();
        let available = run_pinned(all[0], || available_cpus().unwrap()).unwrap();
        assert_eq!(available, all);
    }

    #[test]
    fn unavailable_cpu_is_reported_with_those_that_are_available() {
        let all = all_cpus();
        check(&all[0].to_string().parse().unwrap()).unwrap();
        let error = check(&format!("{},1023", all[0]).parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Cpu { cpu: 1023, .. }), "{error}");
        assert!(error.to_string().contains(&format!("can use {}", all[0])), "{error}");
        let error = run_in_thread(|| pin_current_thread(1023).unwrap_err()).unwrap();
        assert!(error.to_string().starts_with("cannot be pinned to CPU 1023: "), "{error}");
    }
}
