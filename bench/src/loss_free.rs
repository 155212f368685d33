//! The search for the highest rate at which nothing is lost.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::Effort;
use crate::report::Rounds;
use crate::stage::{Probe, Stage};

/// Duration of the load of one trial.
const TRIAL: Duration = Duration::from_millis(200);
/// Duration over which CPU time is counted, in trials. Longer than one, because the kernel samples a part of the CPU
/// time.
const CPU_TRIALS: u32 = 4;
/// First rate of the search for an answerer of some thousand frames per second.
pub(crate) const SLOW: f64 = 10_000.0;
/// First rate of the search for an answerer of some hundred thousand frames per second. The search goes below this rate
/// too, if necessary.
pub(crate) const FAST: f64 = 160_000.0;
/// Maximum number of times that the rate is doubled: up to more than one CPU can generate.
const DOUBLINGS: u32 = 9;
/// Number of times that the last step is then halved: to within three percent.
const HALVINGS: u32 = 5;
/// Share of the frames sent that has to be answered for a rate to count as loss-free.
const LOSS_FREE: f64 = 0.999;
/// Share of the rate that has to be sent for the rate to count as generated. With less, the CPU that the generator
/// shares with the receive work is full, or another guest of the machine took it.
const GENERATED: f64 = 0.95;
/// Factor by which the rate sent has to grow when the requested rate is doubled. With less, the generator has reached
/// its own limit.
const WORTHWHILE: f64 = 1.1;
/// Number of trials of a rate that does not turn out to be loss-free.
const TRIALS: u32 = 3;

/// The outcome of a rate.
enum Outcome {
    /// The rate was sent, and enough of it was answered. Contains the rate really sent.
    LossFree(f64),
    /// Enough of what was sent was answered, but less was sent than requested. Contains the rate really sent.
    NotSent(f64),
    /// Too many frames were not answered.
    Lossy,
}

/// A search for the highest loss-free rate.
pub(crate) struct Search<'a> {
    stage: &'a mut Stage,
    /// Index at which the responses are counted.
    counter: u32,
    first_rate: f64,
    duration: Duration,
}

impl<'a> Search<'a> {
    /// Creates a search that begins at `first_rate`. `counter` is the index at which the responses are counted.
    pub(crate) fn new(stage: &'a mut Stage, counter: u32, first_rate: f64, effort: Effort) -> Self {
        // At most half as long: with a tenth there would be too few frames to see one in a thousand missing.
        Self { stage, counter, first_rate, duration: TRIAL / effort.divisor.min(2) }
    }

    /// Returns the highest rate, as really sent, of which at least 99.9 % was answered.
    pub(crate) fn loss_free(&mut self) -> Result<f64> {
        let (mut best, mut low, mut high) = (0.0_f64, 0.0, None);
        for doubling in 0..=DOUBLINGS {
            let rate = self.first_rate * f64::from(1 << doubling);
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

    /// Returns the outcome of a rate. One lossy trial out of three is ascribed to other guests of the machine.
    fn outcome(&mut self, rate: f64) -> Result<Outcome> {
        let (mut lossy, mut not_sent) = (0, None);
        for _ in 0..TRIALS {
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

    /// Returns the CPU time per response in microseconds, at nine tenths of the loss-free rate. `cpu_seconds` returns
    /// the CPU time used so far.
    pub(crate) fn cpu_us_per_response(&mut self, loss_free: f64, cpu_seconds: impl Fn() -> Result<f64>) -> Result<f64> {
        let before = cpu_seconds()?;
        let steady = self.probe_for(loss_free.max(SLOW) * 0.9, CPU_TRIALS)?;
        Ok((cpu_seconds()? - before) * 1e6 / steady.answered as f64)
    }

    /// Returns the frames really sent and the frames answered, both per second, for each of `loads`, which are
    /// multiples of the rate `loss_free`. These are medians of several rounds, each of which tries every load once.
    pub(crate) fn at_loads(&mut self, loss_free: f64, loads: &[f64]) -> Result<Vec<(f64, f64)>> {
        let mut rounds = vec![(Rounds::default(), Rounds::default()); loads.len()];
        for _ in 0..TRIALS {
            for (load, (sent, responses)) in loads.iter().zip(&mut rounds) {
                let probe = self.probe(loss_free.max(SLOW) * load)?;
                sent.add(probe.sent_rate);
                responses.add(probe.answer_rate);
            }
        }
        Ok(rounds.iter().map(|(sent, responses)| (sent.median(), responses.median())).collect())
    }

    /// Tries a rate once.
    pub(crate) fn probe(&mut self, rate: f64) -> Result<Probe> {
        self.probe_for(rate, 1)
    }

    /// Tries a rate once, for `times` times the duration of a trial.
    fn probe_for(&mut self, rate: f64, times: u32) -> Result<Probe> {
        for _ in 0..TRIALS {
            let probe = self.stage.probe(rate, self.duration * times, self.counter)?;
            // More responses than requests: the answerer was held up for so long that some belong to the previous load.
            if probe.answered <= probe.sent {
                return Ok(probe);
            }
        }
        bail!("more responses than requests, {TRIALS} times: the machine is too busy to measure anything")
    }
}
