//! The program that `cargo xtask bench` runs. Measures each subject in several rounds, prints the figures as a table
//! and writes them as JSON.
#![expect(clippy::indexing_slicing, reason = "a benchmark that panics has failed, and nothing else")]
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "progress and figures go to the terminal")]

mod allocations;
mod answers;
mod collateral;
mod cpu;
mod filter;
mod generator;
mod kernel;
#[path = "../ebpf/src/layout.rs"]
mod layout;
mod loss_free;
mod messages;
mod passing;
mod programs;
mod queues;
mod reply;
mod report;
mod servers;
mod stage;
mod sync;
mod tables;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use report::Report;

/// The allocator of all benchmarks. Only [`allocations::during`] reads its count.
#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

#[derive(Parser)]
struct Arguments {
    /// Measure only these subjects
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Subject>,
    /// Run fewer and shorter rounds: shows that the benchmarks work, but the figures cannot be compared
    #[arg(long)]
    quick: bool,
    /// File to write the figures to, as JSON
    #[arg(long, overrides_with = "json")]
    json: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Responses per second and core, compared with the limits of the kernel and with Kamailio
    Answers,
    /// Established calls during a flood of new ones, with and without the filter
    Collateral,
    /// Cost of the XDP program for each kind of packet
    Kernel,
    /// Cost of the filter for traffic that passes and for the host: memory, time to start and to attach
    Passing,
    /// Responses per second by the number of RX queues, with and without pinned or polling responders
    Queues,
    /// Time to parse a request and write its response, in userspace
    Reply,
    /// Time from a change of the row to the first call that it decides
    Sync,
}

/// The number and length of the measurements.
#[derive(Clone, Copy)]
struct Effort {
    /// Number of rounds. Each round measures everything once, so that a disturbance of the machine affects all alike.
    rounds: usize,
    /// Factor by which a round is shorter than a full one.
    divisor: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let effort = if arguments.quick { Effort { rounds: 3, divisor: 10 } } else { Effort { rounds: 9, divisor: 1 } };
    let mut report = Report::default();
    let measured = measure(&arguments.only, effort, &mut report);
    // Also after a failure: the figures so far have taken minutes.
    print!("{report}");
    let written = write(&report, &arguments.json);
    // Of two failures, report the first.
    measured.and(written)
}

/// Writes the figures to a file, as JSON.
fn write(report: &Report, to: &Path) -> Result<()> {
    let json = serde_json::to_vec_pretty(report).context("the figures as JSON")?;
    std::fs::write(to, json).with_context(|| format!("write {}", to.display()))?;
    println!("\nas JSON: {}", to.display());
    Ok(())
}

/// Measures the subjects in `only`, or all if it is empty.
fn measure(only: &[Subject], effort: Effort, report: &mut Report) -> Result<()> {
    for subject in Subject::value_variants() {
        if !only.is_empty() && !only.contains(subject) {
            continue;
        }
        let name = subject.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        eprint!("measuring {name} … ");
        let begin = Instant::now();
        let measured = match subject {
            Subject::Answers => answers::run(effort, report),
            Subject::Collateral => collateral::run(effort, report),
            Subject::Kernel => kernel::run(effort, report),
            Subject::Passing => passing::run(effort, report),
            Subject::Queues => queues::run(effort, report),
            Subject::Reply => reply::run(effort, report),
            Subject::Sync => sync::run(effort, report),
        };
        eprintln!("{:.0} s", begin.elapsed().as_secs_f64());
        measured.with_context(|| format!("measure {name}"))?;
    }
    Ok(())
}
