//! Looks for the highest rate at which nothing is lost, and for what becomes of an answerer beyond it.

use std::time::Duration;

use anyhow::{Result, bail};

use super::answerer::Running;
use crate::Effort;
use crate::stage::{Probe, Stage};

/// How long a rate is tried.
const TRY: Duration = Duration::from_millis(400);
/// So many times as long is CPU time counted, some of which is sampled.
const CPU_TRIES: u32 = 5;
/// Where the search begins, in frames a second.
const FLOOR: f64 = 10_000.0;
/// The rate is doubled so many times at most: up to more than one CPU can generate.
const DOUBLINGS: u32 = 9;
/// Then the last step is halved so many times: to within three percent.
const HALVINGS: u32 = 5;
/// Of what was sent so much has to be answered for a rate to count as loss-free.
const LOSS_FREE: f64 = 0.999;
/// A generator that makes less of the rate than this has not sent it: the CPU that it shares with the receive work is full, or
/// a neighbour had it.
const GENERATED: f64 = 0.95;
/// When twice the rate makes less than so much of what was sent before, the generator has reached its own limit.
const WORTHWHILE: f64 = 1.1;
/// How often a rate is tried, if it does not go well.
const TRIES: u32 = 3;
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

/// What has become of a rate.
enum Outcome {
    /// So much was sent and answered.
    LossFree(f64),
    /// What was sent was answered, but it was only so much.
    NotSent(f64),
    /// Too much was not answered.
    Lossy,
}

struct Search<'a> {
    stage: &'a mut Stage,
    answers: u32,
    duration: Duration,
    peak: f64,
}

/// Searches. `answers`: which of the two counters has the answers of `running`.
pub(super) fn search(stage: &mut Stage, running: &Running, answers: u32, effort: Effort) -> Result<Found> {
    // A tenth of the duration would be too few frames to see one in a thousand missing.
    let mut search = Search { stage, answers, duration: TRY / effort.divisor.min(4), peak: 0.0 };
    search.probe(FLOOR)?;
    let loss_free = search.loss_free()?;
    let (mut overload, mut overloaded) = (0.0, 0.0);
    for factor in OVERLOADS {
        let probe = search.probe(loss_free.max(FLOOR) * factor)?;
        (overload, overloaded) = (probe.sent_rate, probe.answer_rate);
    }
    search.duration *= CPU_TRIES;
    let before = running.cpu_seconds()?;
    let steady = search.probe(loss_free.max(FLOOR) * 0.9)?;
    let cpu_us = (running.cpu_seconds()? - before) * 1e6 / steady.answered as f64;
    Ok(Found { loss_free, overloaded, overload, peak: search.peak, cpu_us })
}

impl Search<'_> {
    fn loss_free(&mut self) -> Result<f64> {
        let (mut best, mut low, mut high) = (0.0_f64, 0.0, None);
        for doubling in 0..=DOUBLINGS {
            let rate = FLOOR * f64::from(1 << doubling);
            match self.outcome(rate)? {
                Outcome::LossFree(sent) => best = best.max(sent),
                Outcome::NotSent(sent) if sent < best * WORTHWHILE => return Ok(best.max(sent)),
                Outcome::NotSent(sent) => best = sent,
                Outcome::Lossy => {
                    high = Some(rate);
                    break;
                }
            }
            low = rate;
        }
        let Some(mut high) = high else { return Ok(best) };
        for _ in 0..HALVINGS {
            let rate = f64::midpoint(low, high);
            match self.outcome(rate)? {
                Outcome::LossFree(sent) | Outcome::NotSent(sent) => (best, low) = (best.max(sent), rate),
                Outcome::Lossy => high = rate,
            }
        }
        Ok(best)
    }

    /// What becomes of a rate. One bad try out of three is put down to the neighbours of the machine, who disturb at times.
    fn outcome(&mut self, rate: f64) -> Result<Outcome> {
        let (mut lossy, mut not_sent) = (0, None);
        for _ in 0..TRIES {
            let probe = self.probe(rate)?;
            if (probe.answered as f64) < probe.sent as f64 * LOSS_FREE {
                lossy += 1;
                if lossy == 2 {
                    break;
                }
            } else if probe.sent_rate >= rate * GENERATED {
                return Ok(Outcome::LossFree(probe.sent_rate));
            } else {
                not_sent = not_sent.max(Some(probe.sent_rate as u64));
            }
        }
        Ok(match not_sent {
            Some(sent) if lossy < 2 => Outcome::NotSent(sent as f64),
            _ => Outcome::Lossy,
        })
    }

    fn probe(&mut self, rate: f64) -> Result<Probe> {
        for _ in 0..TRIES {
            let probe = self.stage.probe(rate, self.duration, self.answers)?;
            // More answers than requests: a neighbour has held up the answerer for so long that these are answers to the last load.
            if probe.answered <= probe.sent {
                self.peak = self.peak.max(probe.answer_rate);
                return Ok(probe);
            }
        }
        bail!("more answers than requests, {TRIES} times: the machine is too busy to measure anything")
    }
}
