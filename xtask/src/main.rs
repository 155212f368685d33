//! The tasks of this repository: `cargo xtask setup`, `build`, `demo`, `test`, `fuzz`, `bench`, `kernels`.

mod bench;
mod build;
mod command;
mod demo;
#[allow(dead_code, unused_imports, reason = "build scripts share these files: they build, xtask lints and probes")]
mod ebpf;
mod fuzz;
mod kernels;
mod setup;
mod test;
mod workspace;

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
    /// Find or install what build, demo and tests need
    ///
    /// Each thing is printed as found or installed; what is there is left alone, so a second run changes nothing.
    /// Installing Debian packages takes root; what cannot be installed is said in one line each.
    Setup,
    /// Build everything: the XDP program, the daemon with it inside, and the tools
    ///
    /// The binary is target/debug/sip-filter, the same that the demo and the tests run, so that nothing is built
    /// twice. The XDP program in it is optimised either way; --release is for a binary to be installed.
    Build {
        /// Optimise the daemon too: target/release/sip-filter
        #[arg(long)]
        release: bool,
    },
    /// Show a call refused and a call kept up, on a veth pair in network namespaces (root)
    Demo,
    /// Set up, check the format, lint, and run all tests (root)
    ///
    /// All of it is run even if a part fails; the last line says how many tests passed and failed. Of the kernels of
    /// `cargo xtask kernels` it has 6.1 and the newest, without the packet fixtures.
    Test {
        /// What to pass to `cargo test`: a filter, `--test NAME`, …
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Try the SIP grammar and the responder on inputs that a fuzzer makes up from the corpus
    ///
    /// Needs no root and no nightly. What it learns is kept in target/fuzz; an input that fails is kept there too.
    Fuzz {
        /// How long each target runs
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// Only this target
        #[arg(value_enum)]
        target: Option<fuzz::Target>,
        /// Run the target on this file alone, to see a failure again
        #[arg(requires = "target")]
        input: Option<std::path::PathBuf>,
    },
    /// Measure, print the figures as a table, and write them to target/bench.json
    ///
    /// Each thing is measured in several rounds, of which median, least and most are shown, on CPU 1 of a machine with
    /// two CPUs or more; that takes six to seven minutes, after the build. No test depends on the figures. docs/benchmarks.md
    /// says what they mean and what is to be reached.
    Bench {
        /// What to pass on: `--only SUBJECT,…`, `--quick`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Boot the kernels and NIC drivers that the product claims, in emulated machines, and try it on each (root)
    ///
    /// On each kernel: the XDP program is verified and run on single packets. On each NIC: new calls are refused and calls
    /// that are up pass, in each mode that the driver has, and all pass when the daemon is killed. Kernels and QEMU are
    /// fetched by Debian's package tools (about 600 MB) into $XDG_CACHE_HOME/sip-filter/kernels, and installed nowhere.
    Kernels(kernels::Options),
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
        Task::Test { arguments } => return test::run(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}
