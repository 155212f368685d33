//! What `cargo xtask bench` runs: each subject in several rounds, then a table, and the same as JSON.

mod allocations;
mod answers;
mod collateral;
mod cpu;
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

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use report::Report;

/// Counts what is measured without being asked to: only [`allocations::during`] looks at it.
#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

#[derive(Parser)]
struct Arguments {
    /// Only these subjects
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Subject>,
    /// Fewer and shorter rounds: to see that it works, not to compare figures
    #[arg(long)]
    quick: bool,
    /// Where the figures go as JSON
    #[arg(long, overrides_with = "json")]
    json: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Answers per second and core, beside the limits of the kernel and beside Kamailio
    Answers,
    /// What becomes of calls that are up while new ones come in masses, with and without the filter
    Collateral,
    /// What the XDP program costs, by the kind of packet
    Kernel,
    /// What the filter costs the traffic that it lets through, and the host: memory, time to start and to attach
    Passing,
    /// How answers per second grow with RX queues, and with responders kept on CPUs or polling
    Queues,
    /// Reading a request and writing its response, in userspace
    Reply,
    /// From a change of the row to the first call that is decided by it
    Sync,
}

/// How long things are measured.
#[derive(Clone, Copy)]
struct Effort {
    /// How often each thing is measured; all things take turns.
    rounds: usize,
    /// By how much a round is shorter than it could be.
    divisor: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let effort = if arguments.quick { Effort { rounds: 3, divisor: 10 } } else { Effort { rounds: 9, divisor: 1 } };
    let mut report = Report::default();
    let measured = measure(&arguments.only, effort, &mut report);
    // What has been measured before something failed is worth minutes.
    print!("{report}");
    let written = write(&report, &arguments.json);
    // Of two failures the first comes first.
    measured.and(written)
}

fn write(report: &Report, to: &Path) -> Result<()> {
    let json = serde_json::to_vec_pretty(report).context("the figures as JSON")?;
    std::fs::write(to, json).with_context(|| format!("write {}", to.display()))?;
    println!("\nas JSON: {}", to.display());
    Ok(())
}

/// Measures the subjects in `only`, or all if there are none.
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
