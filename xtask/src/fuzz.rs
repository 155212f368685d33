//! `cargo xtask fuzz`: builds the fuzz targets of `tests/fuzz` and runs them in parallel for a bounded time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;
use filter_lab::frame::Frame;

use crate::{command, workspace};

/// Maximum length of an input in bytes. Without a limit, libFuzzer takes the longest message of the corpus. Longer
/// inputs reach no more code, only more iterations of the same loops.
const MAX_LEN: u32 = 4096;
/// Minimum number of inputs per second. A slower run has tested next to nothing and fails.
const MIN_RATE: u64 = 50;
/// Number of log lines to print after a failure: enough for the panic message and libFuzzer's report of the input.
const SHOWN_LINES: usize = 40;

/// A fuzz target.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Target {
    /// The SIP grammar that the XDP program and the daemon share
    Grammar,
    /// The responder: a frame in, a response frame or nothing out
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

    /// Returns the folder of the target's growing corpus, its log and the inputs that failed.
    fn folder(self) -> Result<PathBuf> {
        Ok(workspace::target()?.join("fuzz").join(self.name()))
    }
}

/// Runs `target`, or all targets, for `seconds`, and prints the number of inputs that each has tried.
pub(crate) fn run(seconds: u32, target: Option<Target>) -> Result<()> {
    build()?;
    let targets = target.map_or_else(|| Target::value_variants().to_vec(), |target| vec![target]);
    let runs: Vec<Result<String>> = thread::scope(|scope| {
        let runs: Vec<_> = targets.iter().map(|target| scope.spawn(|| fuzz(*target, seconds))).collect();
        runs.into_iter().map(|run| run.join().unwrap_or_else(|_panic| bail!("xtask itself panicked"))).collect()
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

/// Runs `target` once, on the file `input`.
pub(crate) fn reproduce(target: Target, input: &Path) -> Result<()> {
    build()?;
    // libFuzzer takes a path that does not exist for a corpus folder and creates it.
    fs::metadata(input).with_context(|| format!("cannot read {}", input.display()))?;
    command::run(Command::new(target.program()?).arg(input).env("RUST_BACKTRACE", "1"))
}

/// Builds the targets, with coverage instrumentation in the crates under test.
fn build() -> Result<()> {
    let wrapper = workspace::root().join("tests/fuzz/instrument.sh");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--package", "filter-fuzz", "--bins"]).env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    command::run(&mut cargo)
}

/// Runs `target` for `seconds` and returns a summary.
fn fuzz(target: Target, seconds: u32) -> Result<String> {
    let folder = target.folder()?;
    let (corpus, failures, log) = (folder.join("corpus"), folder.join("failures"), folder.join("log"));
    for folder in [&corpus, &failures] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    write_seeds(target, &corpus)?;
    let status = run_libfuzzer(target, seconds, &corpus, &failures, &log)?;
    let log = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let log = String::from_utf8_lossy(&log);
    if !status.success() {
        bail!("{status}\n{}", failure(target, &log));
    }
    let (executions, rate) = (statistic(&log, "number_of_executed_units")?, statistic(&log, "average_exec_per_sec")?);
    if rate < MIN_RATE {
        bail!("only {executions} inputs in {seconds} s, too few for a result (minimum: {MIN_RATE} per second)");
    }
    Ok(format!("{executions} inputs, {rate} per second, no failure"))
}

/// Runs the program of `target` with its output in the file `log`.
fn run_libfuzzer(target: Target, seconds: u32, corpus: &Path, failures: &Path, log: &Path) -> Result<ExitStatus> {
    let log = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let program = target.program()?;
    Command::new(&program)
        // libFuzzer writes new inputs to the first folder and only reads the others.
        .arg(corpus)
        .arg(workspace::root().join("tests/corpus"))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_LEN}"))
        .arg(format!("-artifact_prefix={}/", failures.display()))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
        // A backtrace would push the panic message out of the lines that are shown. `reproduce` prints one.
        .env("RUST_BACKTRACE", "0")
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// Writes further seeds to `corpus`: messages in frames of other shapes, encoded as `tests/fuzz/src/input.rs` decodes
/// them.
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
            source: source.parse().context("cannot parse the seed's source address")?,
            destination: destination.parse().context("cannot parse the seed's destination address")?,
            payload: message.clone(),
            padding: 0,
        };
        fs::write(corpus.join(format!("seed-frame-{family}")), [vec![0], frame.to_bytes()].concat())?;
    }
    Ok(())
}

/// Parses the value of `stat::NAME: VALUE`, which libFuzzer prints at the end of a run.
fn statistic(log: &str, name: &str) -> Result<u64> {
    let value = log.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).with_context(|| format!("libFuzzer printed no {name}"))
}

/// Returns the last lines of the log, and the command that reproduces the failure.
fn failure(target: Target, log: &str) -> String {
    let skipped = log.lines().count().saturating_sub(SHOWN_LINES);
    let shown = log.lines().skip(skipped).collect::<Vec<_>>().join("\n");
    let input = log.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path.trim());
    match input {
        Some(input) => {
            format!("{shown}\nthe input is {input}\nto reproduce: cargo xtask fuzz {} {input}", target.name())
        }
        None => shown,
    }
}
