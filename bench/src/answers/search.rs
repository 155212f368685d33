//! What becomes of an answerer at the highest rate at which nothing is lost, and beyond it.

use std::time::Duration;

use anyhow::Result;

use super::answerer::Running;
use crate::Effort;
use crate::loss_free::{FLOOR, Search};
use crate::stage::Stage;

/// How long a rate is tried.
const TRY: Duration = Duration::from_millis(400);
/// The overloads that are tried, in loss-free rates; the last of them is the one that is reported.
const OVERLOADS: [f64; 3] = [1.5, 2.0, 3.0];

/// What was found of one answerer; rates a second.
pub(super) struct Found {
    /// The highest rate that was sent of which at least 99.9 % was answered.
    pub(super) loss_free: f64,
    /// Answers at three times that rate.
    pub(super) overloaded: f64,
    /// What was really sent then: less, if the receive work leaves the generator too little of the CPU that they share.
    pub(super) overload: f64,
    /// The most answers at any rate.
    pub(super) peak: f64,
    /// CPU time per answer, at nine tenths of the loss-free rate, in microseconds.
    pub(super) cpu_us: f64,
}

/// Searches. `answers`: which of the two counters has the answers of `running`.
pub(super) fn search(stage: &mut Stage, running: &Running, answers: u32, effort: Effort) -> Result<Found> {
    // A tenth of the duration would be too few frames to see one in a thousand missing.
    let mut search = Search::new(stage, answers, TRY / effort.divisor.min(4));
    search.probe(FLOOR)?;
    let loss_free = search.loss_free()?;
    let (mut overload, mut overloaded) = (0.0, 0.0);
    for factor in OVERLOADS {
        let probe = search.probe(loss_free.max(FLOOR) * factor)?;
        (overload, overloaded) = (probe.sent_rate, probe.answer_rate);
    }
    let cpu_us = search.cpu_us(loss_free, || running.cpu_seconds())?;
    Ok(Found { loss_free, overloaded, overload, peak: search.peak, cpu_us })
}
