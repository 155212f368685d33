//! Threads that are kept on a CPU, and which CPUs the process can have.

use std::io;
use std::panic::resume_unwind;
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::Error;
use crate::dataplane::cpus::{CpuList, ranges};

/// The calling thread, to `sched_setaffinity(2)`.
const SELF: Pid = Pid::from_raw(0);

/// Whether each CPU of the list can be had.
pub(super) fn check(cpus: &CpuList) -> Result<(), Error> {
    let usable = on_thread(usable).and_then(|usable| usable).map_err(Error::Cpus)?;
    match cpus.iter().find(|cpu| !usable.contains(cpu)) {
        Some(cpu) => Err(Error::Cpu { cpu, usable: ranges(&usable) }),
        None => Ok(()),
    }
}

/// The CPUs that are online and in the cpuset of the process. The calling thread may run on all of them afterwards.
///
/// The kernel itself is asked: it takes from a request for all CPUs those that the cpuset has, and shows those of them that
/// are online. What the process was started with (`taskset`, `CPUAffinity=`) binds it no more than it binds the kernel.
fn usable() -> io::Result<Vec<usize>> {
    let mut all = CpuSet::new();
    for cpu in 0..CpuSet::count() {
        all.set(cpu)?;
    }
    sched_setaffinity(SELF, &all)?;
    let usable = sched_getaffinity(SELF)?;
    Ok((0..CpuSet::count()).filter(|cpu| usable.is_set(*cpu).unwrap_or(false)).collect())
}

/// Keeps the calling thread on a CPU. The error says so.
pub(super) fn keep_on(cpu: usize) -> io::Result<()> {
    let mut one = CpuSet::new();
    one.set(cpu).and_then(|()| sched_setaffinity(SELF, &one)).map_err(|error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("cannot be kept on CPU {cpu}: {error}"))
    })
}

/// Does something on a CPU, in a thread for that alone.
pub(super) fn on<T: Send>(cpu: usize, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_thread(|| keep_on(cpu).map(|()| work()))?
}

/// Does something in a thread for that alone, so that nobody inherits its CPUs.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, work)?;
        Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use nix::sched::{CpuSet, sched_getaffinity};

    use super::{Error, SELF, check, keep_on, on, on_thread, usable};

    /// The CPUs of the calling thread.
    fn own() -> Vec<usize> {
        let own = sched_getaffinity(SELF).unwrap();
        (0..CpuSet::count()).filter(|cpu| own.is_set(*cpu).unwrap()).collect()
    }

    #[test]
    fn work_is_done_on_its_cpu_and_others_stay_where_they_are() {
        let (before, all) = (own(), on_thread(usable).unwrap().unwrap());
        for cpu in &all {
            assert_eq!(on(*cpu, own).unwrap(), [*cpu]);
        }
        assert_eq!(own(), before);
    }

    #[test]
    fn what_the_process_was_started_with_is_no_limit() {
        let all = on_thread(usable).unwrap().unwrap();
        let seen = on(all[0], || usable().unwrap()).unwrap();
        assert_eq!(seen, all);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named_with_those_that_are() {
        let all = on_thread(usable).unwrap().unwrap();
        check(&all[0].to_string().parse().unwrap()).unwrap();
        let error = check(&format!("{},1023", all[0]).parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Cpu { cpu: 1023, .. }), "{error}");
        assert!(error.to_string().contains(&format!("can use {}", all[0])), "{error}");
        let error = on_thread(|| keep_on(1023).unwrap_err()).unwrap();
        assert!(error.to_string().starts_with("cannot be kept on CPU 1023: "), "{error}");
    }
}
