//! What becomes of an answerer at the highest rate at which nothing is lost, and beyond it.

use anyhow::Result;

use super::answerer::Running;
use crate::Effort;
use crate::loss_free::Search;
use crate::stage::Stage;

/// The loads that are tried for the peak, in loss-free rates; what becomes of the last of them is reported.
const LOADS: [f64; 2] = [1.5, 3.0];

/// What was found of one answerer; rates a second.
pub(super) struct Found {
    /// The highest rate that was sent of which at least 99.9 % was answered.
    pub(super) loss_free: f64,
    /// Answers at three times that rate.
    pub(super) overloaded: f64,
    /// What was really sent then: less, if the receive work leaves the generator too little of the CPU that they share.
    pub(super) overload: f64,
    /// The most answers: at any of [`LOADS`], or at the loss-free rate in the search.
    pub(super) peak: f64,
    /// CPU time per answer, at nine tenths of the loss-free rate, in microseconds.
    pub(super) cpu_us: f64,
}

/// Searches, from the rate `begin` on. `answers`: which of the two counters has the answers of `running`.
pub(super) fn search(stage: &mut Stage, running: &Running, answers: u32, begin: f64, effort: Effort) -> Result<Found> {
    let mut search = Search::new(stage, answers, begin, effort);
    search.probe(begin)?;
    let loss_free = search.loss_free()?;
    let at_loads = search.at_loads(loss_free, &LOADS)?;
    let (overload, overloaded) = at_loads.last().copied().unwrap_or_default();
    let peak = at_loads.iter().map(|(_, answers)| *answers).fold(loss_free, f64::max);
    let cpu_us = search.cpu_us(loss_free, || running.cpu_seconds())?;
    Ok(Found { loss_free, overloaded, overload, peak, cpu_us })
}
