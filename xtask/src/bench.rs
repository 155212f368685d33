//! `cargo xtask bench`: builds daemon and benchmarks with the release profile, and runs the benchmarks.

use std::process::Command;

use anyhow::Result;

use crate::{command, workspace};

/// Builds and runs the benchmarks with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    command::run(workspace::cargo().args([
        "build",
        "--release",
        "--package",
        "filter-bench",
        "--package",
        "filter-user",
    ]))?;
    let target = workspace::target()?;
    let release = target.join("release");
    let mut bench = Command::new(release.join("filter-bench"));
    bench.env("SIP_FILTER_BIN", release.join("sip-filter"));
    command::run(bench.arg("--json").arg(target.join("bench.json")).args(arguments))
}
