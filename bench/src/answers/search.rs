//! The throughput of an answerer at the highest rate at which nothing is lost, and beyond it.

use anyhow::Result;

use super::answerer::{Answerer, Running};
use crate::Effort;
use crate::loss_free::Search;
use crate::stage::Stage;

/// Loads that are tried for the peak, in multiples of the loss-free rate. The result of the last one is reported.
const LOADS: [f64; 2] = [1.5, 3.0];

/// The throughput of an answerer. Rates are in frames per second.
pub(super) struct Throughput {
    /// Highest rate really sent of which at least 99.9 % was answered.
    pub(super) loss_free: f64,
    /// Rate answered at three times the loss-free rate.
    pub(super) overload_answered: f64,
    /// Rate really sent at three times the loss-free rate. Less than that, if the receive work leaves the generator
    /// too little of the CPU that they share.
    pub(super) overload_sent: f64,
    /// Highest rate answered, at any of [`LOADS`] or in the search for the loss-free rate.
    pub(super) peak: f64,
    /// CPU time per response in microseconds, at nine tenths of the loss-free rate.
    pub(super) cpu_us: f64,
}

/// Measures the throughput of `answerer`, which is at work as `running`.
pub(super) fn measure(stage: &mut Stage, running: &Running, answerer: Answerer, effort: Effort) -> Result<Throughput> {
    let first_rate = answerer.first_rate();
    let mut search = Search::new(stage, answerer.counter(), first_rate, effort);
    // Warm up. The result does not count.
    search.probe(first_rate)?;
    let loss_free = search.loss_free()?;
    let at_loads = search.at_loads(loss_free, &LOADS)?;
    let (overload_sent, overload_answered) = at_loads.last().copied().unwrap_or_default();
    let peak = at_loads.iter().map(|(_, responses)| *responses).fold(loss_free, f64::max);
    let cpu_us = search.cpu_us_per_response(loss_free, || running.cpu_seconds())?;
    Ok(Throughput { loss_free, overload_answered, overload_sent, peak, cpu_us })
}
