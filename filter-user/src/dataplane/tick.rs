//! The tick: follows the network, updates everything that changes with time, and detects failures since the last tick.

use std::time::{Duration, Instant};

use filter_common::verdict::Verdict;

use super::view::View;
use super::{DataPlane, Error, VerdictCounters, lock};
use crate::domain::Alarm;

/// Time for which an alarm stays raised after the last packet that is evidence for it.
const MEMORY: Duration = Duration::from_mins(1);

impl DataPlane {
    /// Updates what depends on the time and the network, and checks for failures. Has to be called once a second, and
    /// whenever an interface or an address has changed.
    ///
    /// * Interfaces and addresses are followed as they come, go and change.
    /// * `Retry-After` is shortened as the planned end comes nearer, and the 32 s after maintenance end.
    /// * A responder or a thread of the refusal log that has ended is replaced. Calls are still refused meanwhile.
    ///
    /// The loss of the last interface is an error, and so is a map that cannot be written. After [`stop`](Self::stop)
    /// there is nothing to fail.
    pub fn tick(&self) -> Result<(), Error> {
        lock(&self.kernel).tick();
        lock(&self.logs).check();
        let mut interfaces = lock(&self.interfaces);
        if self.check_running().is_err() {
            return Ok(());
        }
        interfaces.follow(&self.kernel)?;
        drop(interfaces);
        let refuses = lock(&self.kernel).refuses();
        lock(&self.evidence).gather(&self.verdicts, refuses, &self.view.load())?;
        // Logs those that are new or over.
        self.alarms();
        Ok(())
    }
}

/// Evidence by the XDP program's counters that calls pass which should be refused.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Packets that passed for want of a lease or a socket, as of the last tick.
    unserved: u64,
    /// Packets that passed because they may have lost their VLAN tag.
    stripped: u64,
    /// True if maintenance was on at the last tick, and each queue had a lease.
    was_served: bool,
    /// Time of the last packet that passed although each queue had a lease.
    unserved_at: Option<Instant>,
    /// True if a packet has passed as [`Verdict::VlanStripped`].
    has_stripped: bool,
}

impl Evidence {
    /// Creates the evidence of a program that has just been attached.
    pub(super) fn new(verdicts: &VerdictCounters) -> Result<Self, Error> {
        let [unserved, stripped] = counts(verdicts)?;
        Ok(Self { unserved, stripped, was_served: false, unserved_at: None, has_stripped: false })
    }

    /// Compares the counters with those of the last tick.
    fn gather(&mut self, verdicts: &VerdictCounters, refuses: bool, view: &View) -> Result<(), Error> {
        let [unserved, stripped] = counts(verdicts)?;
        let is_served = refuses && view.queue_alarms().is_empty();
        if unserved > self.unserved && is_served && self.was_served {
            self.unserved_at = Some(Instant::now());
        }
        self.has_stripped |= stripped > self.stripped;
        if view.vlan_alarms.is_empty() {
            self.has_stripped = false;
        }
        (self.unserved, self.stripped, self.was_served) = (unserved, stripped, is_served);
        Ok(())
    }

    /// Returns the alarms for which there is evidence.
    pub(super) fn alarms(&self, view: &View) -> Vec<Alarm> {
        let mut alarms = if self.has_stripped { view.vlan_alarms.clone() } else { Vec::new() };
        if self.unserved_at.is_some_and(|at| at.elapsed() < MEMORY) {
            alarms.push(Alarm::Unserved);
        }
        alarms
    }
}

/// Returns the numbers of packets that passed for want of a lease or a socket, and as [`Verdict::VlanStripped`].
fn counts(verdicts: &VerdictCounters) -> Result<[u64; 2], Error> {
    let mut sums = [0; 2];
    for (verdict, packets) in verdicts.read()? {
        match verdict {
            Verdict::NoLease | Verdict::NoSocket => sums[0] += packets,
            Verdict::VlanStripped => sums[1] += packets,
            _ => {}
        }
    }
    Ok(sums)
}
