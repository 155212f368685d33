//! Responses per second and core: sip-filter compared with two reflectors, which are the limit of the kernel, and with
//! Kamailio.

mod answerer;
mod reflector;
mod search;

use anyhow::{Context as _, Result};

use crate::Effort;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use answerer::Answerer;
use search::Throughput;

/// The answerers by their names in the report. Of several variants, the best one counts.
const SUBJECTS: [(&str, &[Answerer]); 5] = [
    ("sip-filter", &[Answerer::SipFilter]),
    ("AF_XDP reflector", &[Answerer::AfXdpReflector]),
    ("XDP_TX reflector", &[Answerer::XdpTxReflector]),
    (
        "Kamailio as it comes",
        &[Answerer::Kamailio { children: 1, memory: None }, Answerer::Kamailio { children: 2, memory: None }],
    ),
    (
        "Kamailio with -x fm -X fm",
        &[
            Answerer::Kamailio { children: 1, memory: Some("fm") },
            Answerer::Kamailio { children: 2, memory: Some("fm") },
        ],
    ),
];

/// Index of sip-filter in [`SUBJECTS`].
const SIP_FILTER: usize = 0;
/// Minimum ratio of sip-filter's loss-free rate to that of another subject, by its index in [`SUBJECTS`].
const RATIOS: [(usize, f64); 3] = [(1, 0.9), (4, 6.0), (3, 24.0)];

/// The results of a subject.
#[derive(Default)]
struct Measured {
    loss_free: Rounds,
    overload_answered: Rounds,
    overload_sent: Rounds,
    peak: Rounds,
    cpu: Rounds,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    let mut measured = SUBJECTS.map(|_| Measured::default());
    // A round takes half a minute, so there are a third of the rounds of other subjects.
    for _ in 0..effort.rounds.div_ceil(3) {
        for ((name, variants), measured) in SUBJECTS.iter().zip(&mut measured) {
            measured.add(&best(variants, effort).with_context(|| format!("measure the responses of {name}"))?);
        }
    }
    let filter = &measured[SIP_FILTER];
    for (subject, limit) in RATIOS {
        let ratio = filter.loss_free.zip_with(&measured[subject].loss_free, |filter, other| filter / other);
        let name = format!("sip-filter: loss-free rate by that of: {}", SUBJECTS[subject].0);
        report.target(name, ratio.median(), Bound::AtLeast(limit));
    }
    let kept = filter.overload_answered.zip_with(&filter.peak, |overload_answered, peak| overload_answered / peak);
    report.target("sip-filter: answers at three times the loss-free rate by peak", kept.median(), Bound::AtLeast(0.8));
    for ((name, _), Measured { loss_free, overload_answered, overload_sent, peak, cpu }) in
        SUBJECTS.iter().zip(measured)
    {
        report.figure("answers", format!("{name}: loss-free rate"), "1/s", loss_free);
        report.figure("answers", format!("{name}: answers at three times that"), "1/s", overload_answered);
        report.figure("answers", format!("{name}: really sent at three times that"), "1/s", overload_sent);
        report.figure("answers", format!("{name}: peak"), "1/s", peak);
        report.figure("answers", format!("{name}: CPU time per answer"), "µs", cpu);
    }
    Ok(())
}

impl Measured {
    fn add(&mut self, found: &Throughput) {
        self.loss_free.add(found.loss_free);
        self.overload_answered.add(found.overload_answered);
        self.overload_sent.add(found.overload_sent);
        self.peak.add(found.peak);
        self.cpu.add(found.cpu_us);
    }
}

/// Returns the throughput of the variant with the highest loss-free rate. Each variant has its own wire.
fn best(variants: &[Answerer], effort: Effort) -> Result<Throughput> {
    let mut best: Option<Throughput> = None;
    for answerer in variants {
        let mut stage = Stage::new(1)?;
        let running = answerer.start(&stage)?;
        let found = search::measure(&mut stage, &running, *answerer, effort)?;
        if best.as_ref().is_none_or(|best| best.loss_free < found.loss_free) {
            best = Some(found);
        }
    }
    best.context("the subject has no answerer")
}
