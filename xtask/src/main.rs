//! The tasks of this repository: `cargo xtask setup`, `build`, `demo`, `test`, `fuzz`, `bench`, `kernels`, `audit`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tasks report to the terminal")]

mod audit;
mod bench;
mod build;
mod command;
mod demo;
#[expect(clippy::allow_attributes, reason = "rustc reports an expected dead_code of functions as unfulfilled")]
#[allow(dead_code, unused_imports, reason = "shared with the build scripts, which alone call `run_build_script`")]
mod ebpf;
mod fuzz;
mod kernels;
mod setup;
mod test;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find or install everything that the build, the demo and the tests need
    ///
    /// Prints one line per requirement: found, installed, or MISSING with a remedy. Software that is present is left
    /// alone, so a second run changes nothing. Installing Debian packages requires root.
    Setup,
    /// Build the XDP program, the daemon that embeds it, and the tools
    ///
    /// The binary is target/debug/sip-filter. The demo and the tests run the same binary, so nothing is built twice.
    /// The XDP program in it is always optimised. Use --release for a binary to install.
    Build {
        /// Optimise the daemon too; the binary is target/release/sip-filter
        #[arg(long)]
        release: bool,
    },
    /// Show a new call refused and an established call unaffected, over a veth pair in network namespaces (root)
    Demo,
    /// Run the setup, check comments, format and lints, and run all tests (root)
    ///
    /// A failure does not stop the run. The last line is the number of tests passed and failed. The run includes a part
    /// of `cargo xtask kernels`: Linux 6.1 and the newest kernel, without the packet fixtures.
    Test {
        /// Arguments for `cargo test`: a filter, `--test NAME`, …
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Fuzz the SIP grammar and the responder, starting from the corpus
    ///
    /// Requires neither root nor nightly. Inputs that reach new code, and inputs that fail, are kept in target/fuzz.
    Fuzz {
        /// Duration of the run in seconds; the targets run in parallel
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// Fuzz this target only
        #[arg(value_enum)]
        target: Option<fuzz::Target>,
        /// Run the target once, on this file, to reproduce a failure
        #[arg(requires = "target")]
        input: Option<PathBuf>,
    },
    /// Run the benchmarks, print the results as a table, and write them to target/bench.json
    ///
    /// Each subject is measured in several rounds, on CPU 1 if the machine has two CPUs or more. The table shows the
    /// median, the minimum and the maximum. After the build, a run takes six to seven minutes. No test depends on the
    /// results; docs/benchmarks.md explains them and states the targets.
    Bench {
        /// Arguments for the benchmarks: `--only SUBJECT,…`, `--quick`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Test sip-filter on all supported kernels and NIC drivers, in emulated machines (root)
    ///
    /// On each kernel, the XDP program is verified and run on single packets. On each NIC, in each mode of its driver,
    /// new calls are refused, established calls pass, and everything passes after the daemon is killed. On 6.1 and the
    /// newest kernel, scenarios follow: networks as carriers build them (VLANs, bonds, bridges …), see `--scenario`.
    /// Kernels and QEMU (about 600 MB) are downloaded from Debian into $XDG_CACHE_HOME/sip-filter/kernels and not
    /// installed.
    Kernels(kernels::Options),
    /// Check all dependencies: bans, licences, sources and security advisories
    ///
    /// Runs `cargo deny check` with the rules in deny.toml. Installs cargo-deny if it is missing, which takes some
    /// minutes. If the advisory database cannot be downloaded, a line says so and the other checks decide.
    Audit,
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().task {
        Task::Setup => setup::run()?,
        Task::Build { release } => drop(build::run(release)?),
        Task::Demo => demo::run()?,
        Task::Fuzz { target: Some(target), input: Some(input), .. } => fuzz::reproduce(target, &input)?,
        Task::Fuzz { seconds, target, .. } => fuzz::run(seconds, target)?,
        Task::Bench { arguments } => bench::run(&arguments)?,
        Task::Kernels(options) => kernels::run(&options)?,
        Task::Audit => audit::run()?,
        Task::Test { arguments } => return test::run(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}
