//! `cargo xtask bench`: builds the benchmarks as a product is built, optimised, and runs them.

use std::process::Command;

use anyhow::Result;

use crate::{command, workspace};

/// Builds and runs the benchmarks with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    command::run(workspace::cargo().args(["build", "--release", "--package", "filter-bench"]))?;
    let target = workspace::target()?;
    let mut bench = Command::new(target.join("release").join("filter-bench"));
    command::run(bench.arg("--json").arg(target.join("bench.json")).args(arguments))
}
