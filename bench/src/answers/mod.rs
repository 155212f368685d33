//! Answers per second and core: sip-filter beside two reflectors, which are the kernel's limit, and beside Kamailio.

mod answerer;
mod reflector;
mod search;

use anyhow::{Context as _, Result};

use crate::Effort;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use answerer::Answerer;
use search::Found;

/// What is measured, and in how many shapes, of which the better one counts.
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

const SIP_FILTER: usize = 0;
/// By how much sip-filter's loss-free rate has to exceed that of another subject.
const RATIOS: [(usize, f64); 3] = [(1, 0.9), (4, 6.0), (3, 24.0)];

/// What the rounds of a subject have found.
#[derive(Default)]
struct Measured {
    loss_free: Rounds,
    overloaded: Rounds,
    overload: Rounds,
    peak: Rounds,
    cpu: Rounds,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    let mut measured = SUBJECTS.map(|_| Measured::default());
    // A round takes half a minute: a third of the rounds that others have.
    for _ in 0..effort.rounds.div_ceil(3) {
        for ((name, shapes), measured) in SUBJECTS.iter().zip(&mut measured) {
            measured.add(&best(shapes, effort).with_context(|| format!("answers of {name}"))?);
        }
    }
    let filter = &measured[SIP_FILTER];
    for (subject, limit) in RATIOS {
        let ratio = filter.loss_free.against(&measured[subject].loss_free, |filter, other| filter / other);
        let name = format!("sip-filter: loss-free rate by that of: {}", SUBJECTS[subject].0);
        report.target(name, ratio.median(), Bound::AtLeast(limit));
    }
    let kept = filter.overloaded.against(&filter.peak, |overloaded, peak| overloaded / peak);
    report.target("sip-filter: answers at three times the loss-free rate by peak", kept.median(), Bound::AtLeast(0.8));
    for ((name, _), Measured { loss_free, overloaded, overload, peak, cpu }) in SUBJECTS.iter().zip(measured) {
        report.figure("answers", format!("{name}: loss-free rate"), "1/s", loss_free);
        report.figure("answers", format!("{name}: answers at three times that"), "1/s", overloaded);
        report.figure("answers", format!("{name}: really sent at three times that"), "1/s", overload);
        report.figure("answers", format!("{name}: peak"), "1/s", peak);
        report.figure("answers", format!("{name}: CPU time per answer"), "µs", cpu);
    }
    Ok(())
}

impl Measured {
    fn add(&mut self, found: &Found) {
        self.loss_free.add(found.loss_free);
        self.overloaded.add(found.overloaded);
        self.overload.add(found.overload);
        self.peak.add(found.peak);
        self.cpu.add(found.cpu_us);
    }
}

/// The shape with the highest loss-free rate. Each has a wire of its own.
fn best(shapes: &[Answerer], effort: Effort) -> Result<Found> {
    let mut best: Option<Found> = None;
    for answerer in shapes {
        let mut stage = Stage::new(1)?;
        let running = answerer.start(&stage)?;
        let found = search::search(&mut stage, &running, answerer.answers(), answerer.begin(), effort)?;
        if best.as_ref().is_none_or(|best| best.loss_free < found.loss_free) {
            best = Some(found);
        }
    }
    best.context("nothing to measure")
}
