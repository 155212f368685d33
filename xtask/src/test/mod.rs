//! `cargo xtask test`: runs the setup, all checks and all tests.

mod comments;
mod report;
mod results;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use nix::unistd::Uid;

use crate::ebpf::{self, Object, Program, Toolchain};
use crate::{build, command, fuzz, kernels, setup, workspace};
use report::Report;
use results::Results;

/// Variable from which the end-to-end tests take the path of the binary.
const BINARY_VARIABLE: &str = "SIP_FILTER_BIN";

/// Duration of each fuzz target in seconds: some ten thousand inputs on a slow machine. `cargo xtask fuzz` runs longer.
const FUZZ_SECONDS: u32 = 20;

/// Runs all checks and tests and prints the sum as the last line. A failure does not stop the run.
///
/// With `arguments`, which select tests, the fuzz targets and the emulated machines are left out.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if !Uid::effective().is_root() {
        bail!(
            "the tests create network namespaces and load XDP programs, which requires root: \
             run `sudo env PATH=\"$PATH\" HOME=\"$HOME\" cargo xtask test`"
        );
    }
    setup::run()?;
    let whole = arguments.is_empty();
    // In the background: network and disk are idle during compilation.
    let download = whole.then(|| thread::spawn(kernels::fetch_small));
    let mut report = Report::default();
    check_sources(&mut report);
    // With the targets of the tests, so that everything is built once, with one set of features.
    report.check("build", || command::run(workspace::cargo().args(["build", "--all-targets"])));
    let binary = build::binary("debug")?;
    if whole {
        report.check("fuzz targets", || fuzz::run(FUZZ_SECONDS, None));
    }
    if let Some(download) = download {
        report.check("Linux 6.1 and the newest kernel, in emulated machines", || {
            download.join().map_err(|_panic| anyhow!("the thread that downloads the kernels panicked"))??;
            kernels::run_small()
        });
    }
    for (name, selection) in selections(arguments) {
        report.tests(name, || cargo_test(&selection, &binary));
    }
    Ok(report.finish())
}

/// Checks comments and format, and lints all crates.
fn check_sources(report: &mut Report) {
    report.check("comments", || comments::check(workspace::root()));
    report.check("format", || command::run(workspace::cargo().args(["fmt", "--all", "--check"])));
    report.check("clippy", || command::run(&mut clippy()));
    report.check("clippy of the XDP program", || clippy_ebpf(ebpf::SIP_FILTER));
    report.check("clippy of the benchmarks' XDP programs", || clippy_ebpf(ebpf::BENCH));
}

/// Returns the command that lints all crates except the XDP programs, which compile for BPF only.
///
/// This includes the crates that are not default members of the workspace: the benchmarks and the fuzz targets.
fn clippy() -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["clippy", "--workspace"]);
    for object in [ebpf::SIP_FILTER, ebpf::BENCH] {
        cargo.args(["--exclude", object.package]);
    }
    cargo.args(["--all-targets", "--", "-D", "warnings"]);
    cargo
}

fn clippy_ebpf(object: Object) -> Result<()> {
    let toolchain = Toolchain::find().map_err(Error::msg)?;
    let linker = ebpf::find_linker().map_err(Error::msg)?;
    let program = Program {
        object,
        toolchain: &toolchain,
        linker: &linker,
        workspace: workspace::root(),
        target_dir: &workspace::target()?.join("ebpf"),
        arch: std::env::consts::ARCH,
    };
    command::run(&mut program.clippy().with_context(|| format!("{toolchain} has no clippy"))?)
}

/// Returns names and arguments of the runs of `cargo test`: one with `arguments` if there are any, otherwise the tests
/// of all default members of the workspace, quick ones first.
fn selections(arguments: &[String]) -> Vec<(&'static str, Vec<OsString>)> {
    let words = |words: &[&str]| words.iter().map(OsString::from).collect();
    if !arguments.is_empty() {
        return vec![("selected tests", arguments.iter().map(OsString::from).collect())];
    }
    vec![
        ("unit tests", words(&["--lib", "--bins"])),
        ("examples in the documentation", words(&["--doc"])),
        ("integration and end-to-end tests", words(&["--test", "*"])),
    ]
}

fn cargo_test(selection: &[OsString], binary: &Path) -> Result<Results> {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--no-fail-fast"]).args(selection).env(BINARY_VARIABLE, binary);
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start `cargo test`")?;
    let stdout = child.stdout.take().context("`cargo test` has no standard output")?;
    let mut results = Results::read(stdout, io::stdout()).context("cannot read the output of `cargo test`")?;
    let status = child.wait().context("cannot wait for `cargo test`")?;
    if !status.success() && results.failed == 0 {
        // A test binary that does not compile, or crashes, prints no result.
        results.trouble = Some(format!("`{}` failed ({status}) without a failed test", command::line(&cargo)));
    }
    Ok(results)
}
