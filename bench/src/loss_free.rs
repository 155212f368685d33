//! Looks for the highest rate at which nothing is lost.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::Effort;
use crate::report::Rounds;
use crate::stage::{Probe, Stage};

/// How long a rate is tried.
const TRY: Duration = Duration::from_millis(200);
/// So many times as long as a rate is tried, CPU time is counted, some of which is sampled.
const CPU_TRIES: u32 = 4;
/// Where the search begins for who answers in its thousands, in frames a second.
pub(crate) const SLOW: f64 = 10_000.0;
/// Where it begins for who answers in its hundreds of thousands. It goes below that too, if it has to.
pub(crate) const FAST: f64 = 160_000.0;
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

/// What has become of a rate.
enum Outcome {
    /// So much was sent and answered.
    LossFree(f64),
    /// What was sent was answered, but it was only so much.
    NotSent(f64),
    /// Too much was not answered.
    Lossy,
}

/// A search among rates.
pub(crate) struct Search<'a> {
    stage: &'a mut Stage,
    answers: u32,
    begin: f64,
    duration: Duration,
}

impl<'a> Search<'a> {
    /// A search that begins at the rate `begin`. `answers`: which of the two counters has the answers.
    pub(crate) fn new(stage: &'a mut Stage, answers: u32, begin: f64, effort: Effort) -> Self {
        // A tenth of the duration would be too few frames to see one in a thousand missing.
        Self { stage, answers, begin, duration: TRY / effort.divisor.min(2) }
    }

    /// The highest rate, as it was really sent, of which at least 99.9 % was answered.
    pub(crate) fn loss_free(&mut self) -> Result<f64> {
        let (mut best, mut low, mut high) = (0.0_f64, 0.0, None);
        for doubling in 0..=DOUBLINGS {
            let rate = self.begin * f64::from(1 << doubling);
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

    /// CPU time per answer, at nine tenths of the loss-free rate, in microseconds. `cpu_seconds`: what has been taken so far.
    pub(crate) fn cpu_us(&mut self, loss_free: f64, cpu_seconds: impl Fn() -> Result<f64>) -> Result<f64> {
        let before = cpu_seconds()?;
        let steady = self.probe_for(loss_free.max(SLOW) * 0.9, CPU_TRIES)?;
        Ok((cpu_seconds()? - before) * 1e6 / steady.answered as f64)
    }

    /// What was really sent, and the answers, both in a second, at so many times the rate `loss_free`: of some tries, in which all
    /// loads take turns, the medians.
    pub(crate) fn at_loads(&mut self, loss_free: f64, loads: &[f64]) -> Result<Vec<(f64, f64)>> {
        let mut rounds = vec![(Rounds::default(), Rounds::default()); loads.len()];
        for _ in 0..TRIES {
            for (load, (sent, answers)) in loads.iter().zip(&mut rounds) {
                let probe = self.probe(loss_free.max(SLOW) * load)?;
                sent.add(probe.sent_rate);
                answers.add(probe.answer_rate);
            }
        }
        Ok(rounds.iter().map(|(sent, answers)| (sent.median(), answers.median())).collect())
    }

    /// A rate, once.
    pub(crate) fn probe(&mut self, rate: f64) -> Result<Probe> {
        self.probe_for(rate, 1)
    }

    /// A rate, once, for so many times as long.
    fn probe_for(&mut self, rate: f64, times: u32) -> Result<Probe> {
        for _ in 0..TRIES {
            let probe = self.stage.probe(rate, self.duration * times, self.answers)?;
            // More answers than requests: a neighbour has held up the answerer for so long that these are answers to the last load.
            if probe.answered <= probe.sent {
                return Ok(probe);
            }
        }
        bail!("more answers than requests, {TRIES} times: the machine is too busy to measure anything")
    }
}
