//! `cargo xtask test`: set up, check, and run every test there is.

mod report;
mod results;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use nix::unistd::Uid;

use crate::ebpf::{self, Object, Program, Toolchain};
use crate::{build, command, fuzz, kernels, setup, workspace};
use report::Report;
use results::Results;

/// Where the end-to-end tests find the binary.
const BINARY_VARIABLE: &str = "SIP_FILTER_BIN";

/// How long each fuzz target runs: time for some ten thousand inputs on a slow machine. `cargo xtask fuzz` runs longer.
const FUZZ_SECONDS: u32 = 20;

/// Runs all checks and tests, whichever fail. All is said when it returns, so that the sum is the last line.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if !Uid::effective().is_root() {
        bail!(
            "the tests make network namespaces and load XDP programs, which takes root: \
             run `sudo env PATH=\"$PATH\" HOME=\"$HOME\" cargo xtask test`"
        );
    }
    setup::run()?;
    let whole = arguments.is_empty();
    // The network and the disk are idle while the compiler works.
    let fetching = whole.then(|| thread::spawn(kernels::fetch_small));
    let mut report = Report::default();
    report.check("format", || command::run(workspace::cargo().args(["fmt", "--all", "--check"])));
    report.check("clippy", || command::run(&mut clippy()));
    report.check("clippy of the XDP program", || clippy_ebpf(ebpf::SIP_FILTER));
    report.check("clippy of the benchmarks' XDP programs", || clippy_ebpf(ebpf::BENCH));
    // With the tests' targets, so that all of it is built once, for one set of features.
    report.check("build", || command::run(workspace::cargo().args(["build", "--all-targets"])));
    let binary = build::binary("debug")?;
    if whole {
        report.check("fuzz targets", || fuzz::run(FUZZ_SECONDS, None));
    }
    if let Some(fetching) = fetching {
        report.check("Linux 6.1 and the newest, in emulated machines", || {
            fetching.join().map_err(|_| anyhow!("the thread that fetches the kernels has panicked"))??;
            kernels::run_small()
        });
    }
    for (name, selection) in selections(arguments) {
        report.tests(name, || cargo_test(&selection, &binary));
    }
    Ok(report.finish())
}

fn clippy() -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["clippy", "--workspace"]);
    // All but the XDP programs, which only compile for the kernel.
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
    command::run(&mut program.clippy().context("the Rust for BPF has no clippy")?)
}

/// The runs of `cargo test`: quick ones first, end-to-end last; or one, if a person has said what to run.
fn selections(arguments: &[String]) -> Vec<(&'static str, Vec<OsString>)> {
    let words = |words: &[&str]| words.iter().map(OsString::from).collect();
    if !arguments.is_empty() {
        return vec![("the tests asked for", arguments.iter().map(OsString::from).collect())];
    }
    vec![
        ("unit tests", words(&["--lib", "--bins"])),
        ("examples in the docs", words(&["--doc"])),
        ("end-to-end tests", words(&["--test", "*"])),
    ]
}

fn cargo_test(selection: &[OsString], binary: &Path) -> Result<Results> {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--no-fail-fast"]).args(selection).env(BINARY_VARIABLE, binary);
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start `cargo test`")?;
    let stdout = child.stdout.take().context("`cargo test` has no output")?;
    let mut results = Results::read(stdout, std::io::stdout()).context("cannot read what `cargo test` prints")?;
    let status = child.wait().context("`cargo test` is gone")?;
    if !status.success() && results.failed == 0 {
        // A test binary that does not compile, or dies, prints no result of its own.
        results.trouble = Some(format!("`{}` failed ({status}) without naming a failed test", command::line(&cargo)));
    }
    Ok(results)
}
