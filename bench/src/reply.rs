//! The cost of a response in userspace, from the frame of the request to that of the response, in nanoseconds and
//! allocations.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use filter_reply::{Refusal, ResponseTemplate, TagSecret, respond};

use crate::messages::{Size, frame, invite};
use crate::report::{Bound, Report, Rounds};
use crate::{Effort, allocations, cpu};

/// Number of different calls. With a single one, the branch predictor would learn it.
const CALLS: u32 = 64;
/// Number of responses of each size in an iteration: some milliseconds.
const RESPONSES_PER_ITERATION: u32 = 8_000;
/// Number of iterations of a round. Each measures all sizes, so that a disturbance of the machine affects all alike.
const ITERATIONS: usize = 50;
const MTU: usize = 1500;

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    cpu::pin(cpu::ANSWERER)?;
    let template = ResponseTemplate::new(&Refusal::default(), &TagSecret::new(*b"benchtag", [7; 16])?);
    let frames =
        Size::ALL.map(|size| (0..CALLS).map(|call| frame(invite(size, call, false), 5060)).collect::<Vec<_>>());
    for frame in frames.iter().flatten() {
        ensure!(
            respond(frame, MTU, &mut [0; 4096], &template).is_ok(),
            "the responder does not answer a request of the benchmark"
        );
    }
    let mut times = Size::ALL.map(|_| Rounds::default());
    let mut allocated = Rounds::default();
    for _ in 0..effort.rounds * ITERATIONS / effort.divisor as usize {
        let mut iteration = [0.0; Size::ALL.len()];
        let allocations = allocations::during(|| {
            for (frames, time) in frames.iter().zip(&mut iteration) {
                *time = nanoseconds(frames, &template);
            }
        });
        times.iter_mut().zip(iteration).for_each(|(times, time)| times.add(time));
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

/// Returns the average time of a response.
fn nanoseconds(frames: &[Vec<u8>], template: &ResponseTemplate) -> f64 {
    let mut out = [0; 4096];
    let start = Instant::now();
    for frame in frames.iter().cycle().take(RESPONSES_PER_ITERATION as usize) {
        let _ = black_box(respond(black_box(frame), MTU, &mut out, template));
        black_box(&mut out);
    }
    start.elapsed().as_nanos() as f64 / f64::from(RESPONSES_PER_ITERATION)
}
