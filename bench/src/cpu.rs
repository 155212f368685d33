//! Pinning to CPUs: what generates and receives on the first, what answers on the last.

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Where answers are made.
pub(crate) const ANSWERER: usize = 1;

/// Keeps the calling thread, and what it starts, on `cpu`.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pin a thread to CPU {cpu}: it takes two CPUs"))
}
