//! `cargo xtask fuzz`: builds the fuzz targets of `tests/fuzz` and runs them side by side for a bounded time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;
use filter_lab::frame::Frame;

use crate::{command, workspace};

/// Longer messages are read by the same loops, only slower. Without a limit, libFuzzer takes the longest of the corpus.
const MAX_LEN: u32 = 4096;
/// A run that tries fewer inputs a second than this has tried nothing to speak of.
const LEAST_RATE: u64 = 50;
/// How much of the log is shown when a target fails: the panic, and what libFuzzer says of the input.
const SHOWN: usize = 40;

/// A fuzz target.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Target {
    /// The grammar that kernel and host share
    Grammar,
    /// The frame that answers a frame
    Responder,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Grammar => "grammar",
            Self::Responder => "responder",
        }
    }

    fn program(self) -> Result<PathBuf> {
        Ok(workspace::target()?.join("debug").join(format!("fuzz-{}", self.name())))
    }

    /// Where its corpus grows, and its log and failing inputs lie.
    fn folder(self) -> Result<PathBuf> {
        Ok(workspace::target()?.join("fuzz").join(self.name()))
    }
}

/// Runs `target`, or all of them, for `seconds`, and says how much each has tried.
pub(crate) fn run(seconds: u32, target: Option<Target>) -> Result<()> {
    build()?;
    let targets = target.map_or_else(|| Target::value_variants().to_vec(), |target| vec![target]);
    let runs: Vec<Result<String>> = thread::scope(|scope| {
        let runs: Vec<_> = targets.iter().map(|target| scope.spawn(|| fuzz(*target, seconds))).collect();
        runs.into_iter().map(|run| run.join().unwrap_or_else(|_| bail!("xtask itself panicked"))).collect()
    });
    let mut failed = vec![];
    for (target, run) in targets.iter().zip(runs) {
        match run {
            Ok(summary) => println!("fuzz: {:<10} {summary}", target.name()),
            Err(why) => failed.push(format!("{}: {why:#}", target.name())),
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}

/// Runs `target` on the file `input` alone.
pub(crate) fn reproduce(target: Target, input: &Path) -> Result<()> {
    build()?;
    // Run without an input that exists, libFuzzer would take the name for that of a corpus to be made.
    fs::metadata(input).with_context(|| format!("cannot read {}", input.display()))?;
    command::run(Command::new(target.program()?).arg(input).env("RUST_BACKTRACE", "1"))
}

/// Builds the targets, with the crates under test instrumented.
fn build() -> Result<()> {
    let wrapper = workspace::root().join("tests/fuzz/instrument.sh");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--package", "filter-fuzz", "--bins"]).env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    command::run(&mut cargo)
}

fn fuzz(target: Target, seconds: u32) -> Result<String> {
    let folder = target.folder()?;
    let (corpus, failures, log) = (folder.join("corpus"), folder.join("failures"), folder.join("log"));
    for folder in [&corpus, &failures] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    write_seeds(target, &corpus)?;
    let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    // What is found is written to the first folder; the other ones are only read.
    let status = Command::new(target.program()?)
        .arg(&corpus)
        .arg(workspace::root().join("tests/corpus"))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_LEN}"))
        .arg(format!("-artifact_prefix={}/", failures.display()))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
        // A backtrace would push what the panic says out of what is shown; seen again, the input gives one.
        .env("RUST_BACKTRACE", "0")
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .context("cannot start it")?;
    let log = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let log = String::from_utf8_lossy(&log);
    if !status.success() {
        bail!("{status}\n{}", failure(target, &log));
    }
    let (executions, rate) = (statistic(&log, "number_of_executed_units")?, statistic(&log, "average_exec_per_sec")?);
    if rate < LEAST_RATE {
        bail!("{executions} inputs in {seconds} s are too few to say anything");
    }
    Ok(format!("{executions} inputs, {rate} a second, none of which fails"))
}

/// What else the corpus begins with: messages in frames of other shapes (`tests/fuzz/src/input.rs` says how they are told).
fn write_seeds(target: Target, corpus: &Path) -> Result<()> {
    if !matches!(target, Target::Responder) {
        return Ok(());
    }
    let message = fs::read(workspace::root().join("tests/corpus/c07-host-differs-rport.sip"))
        .context("cannot read a message of tests/corpus")?;
    for shape in 1..8_u8 {
        let edits = [8, shape, 127, 0, 127, 0, 127, 0];
        fs::write(corpus.join(format!("seed-shape-{shape}")), [&[shape][..], &message].concat())?;
        fs::write(corpus.join(format!("seed-edited-{shape}")), [&edits[..], &message].concat())?;
    }
    for (family, [source, destination]) in
        [("ipv4", ["198.18.0.1:5062", "198.18.0.2:5060"]), ("ipv6", ["[2001:db8::1]:5062", "[2001:db8::2]:5060"])]
    {
        let frame = Frame {
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: [2, 0, 0, 0, 0, 2],
            tags: vec![],
            ipv4_options: vec![],
            ipv6_extensions: vec![],
            source: source.parse().context("an address")?,
            destination: destination.parse().context("an address")?,
            payload: message.clone(),
            padding: 0,
        };
        fs::write(corpus.join(format!("seed-frame-{family}")), [vec![0], frame.to_bytes()].concat())?;
    }
    Ok(())
}

/// `stat::NAME: 123`, as libFuzzer prints it at the end.
fn statistic(log: &str, name: &str) -> Result<u64> {
    let value = log.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).with_context(|| format!("libFuzzer prints no {name}"))
}

/// The end of the log, and how to see it again.
fn failure(target: Target, log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let shown = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
    let input = log.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path.trim());
    match input {
        Some(input) => {
            format!("{shown}\nthe input is {input}\nto see it again: cargo xtask fuzz {} {input}", target.name())
        }
        None => shown,
    }
}
