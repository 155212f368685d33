//! Userspace alone: from a request's frame to its response's, in nanoseconds and allocations.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use filter_reply::{ResponseTemplate, TagSecret, respond};
use filter_user::domain::Refusal;

use crate::messages::{Size, frame, invite};
use crate::report::{Bound, Report, Rounds};
use crate::{Effort, allocations, cpu};

/// So many different calls take turns: one alone would be learnt by heart by the branch predictor.
const CALLS: u32 = 64;
/// Answers at a time, some milliseconds: neighbours of the machine come and go.
const ANSWERS: u32 = 8_000;
/// How often in a round, all sizes in turns.
const TURNS: usize = 50;
const MTU: usize = 1500;

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    cpu::pin(cpu::ANSWERER)?;
    let template = ResponseTemplate::new(&Refusal::default(), &TagSecret::new(*b"benchtag", [7; 16])?);
    let frames = Size::ALL.iter().map(|size| (0..CALLS).map(|call| frame(invite(*size, call, false), 5060)).collect());
    let frames = frames.collect::<Result<Vec<Vec<_>>>>()?;
    for frame in frames.iter().flatten() {
        ensure!(respond(frame, MTU, &mut [0; 4096], &template).is_ok(), "a request of the benchmark gets no answer");
    }
    let mut times = Size::ALL.map(|_| Rounds::default());
    let mut allocated = Rounds::default();
    for _ in 0..effort.rounds * TURNS / effort.divisor as usize {
        let mut turn = [0.0; Size::ALL.len()];
        let allocations = allocations::during(|| {
            for (frames, time) in frames.iter().zip(&mut turn) {
                *time = nanoseconds(frames, &template);
            }
        });
        times.iter_mut().zip(turn).for_each(|(times, time)| times.add(time));
        allocated.add(allocations as f64);
    }
    for (size, times) in Size::ALL.into_iter().zip(times) {
        if size == Size::Typical {
            report.target("reply to a typical INVITE, ns", times.median(), Bound::AtMost(300.0));
        }
        report.figure("reply", format!("{} INVITE", size.name()), "ns", times);
    }
    report.target("most allocations in a turn of replies", allocated.max(), Bound::AtMost(0.0));
    report.figure("reply", "allocations in a turn", "", allocated);
    Ok(())
}

/// What an answer takes, on average.
fn nanoseconds(frames: &[Vec<u8>], template: &ResponseTemplate) -> f64 {
    let mut out = [0; 4096];
    let start = Instant::now();
    for frame in frames.iter().cycle().take(ANSWERS as usize) {
        let _ = black_box(respond(black_box(frame), MTU, &mut out, template));
        black_box(&mut out);
    }
    start.elapsed().as_nanos() as f64 / f64::from(ANSWERS)
}
