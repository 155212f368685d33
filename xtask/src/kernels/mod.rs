//! `cargo xtask kernels`: the product on each kernel and NIC driver that it claims, in emulated machines.
//!
//! The machines are QEMU's, without the help of the CPU's virtualisation: slow, and the same everywhere.

mod binaries;
mod initramfs;
mod matrix;
mod modules;
mod packages;
mod qemu;
mod report;
mod verified;

use anyhow::{Context as _, Result, bail};
use filter_lab::guest::plan::Plan;
use nix::unistd::Uid;

use crate::setup;
use binaries::Binaries;
pub(crate) use matrix::Nic;
use packages::{Kernel, Packages};
use qemu::Qemu;
use report::Report;

/// What is run without being asked for anything else: the last one before ours, those of Debian's releases with long-term
/// support, and the newest backport.
const KERNELS: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "newest"];

/// What `cargo xtask test` runs: the two ends of what is claimed, on the NIC of most virtual machines, without the packet fixtures.
const SMALL: (&[&str], &[Nic]) = (&["6.1", "newest"], &[Nic::Virtio]);

/// What to run; all of it where a list is empty.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these kernels: a version such as 6.12, or `newest`
    #[arg(long, value_name = "VERSION")]
    kernel: Vec<String>,
    /// Only these NICs
    #[arg(long, value_enum)]
    nic: Vec<Nic>,
    /// Write down what comes of it: the verifier's counts, and the table in docs/manual/reliability.md (for a whole
    /// run)
    #[arg(long)]
    record: bool,
}

/// Runs what is asked for, prints the table, and fails if a cell has failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run()?;
    let whole = options.kernel.is_empty() && options.nic.is_empty();
    if options.record && !whole {
        bail!("--record is for a run of the whole matrix, without --kernel and --nic");
    }
    let asked: Vec<&str> = options.kernel.iter().map(String::as_str).collect();
    let kernels = if asked.is_empty() { KERNELS.as_slice() } else { &asked };
    let nics = if options.nic.is_empty() { Nic::ALL } else { &options.nic };
    let report = boot_all(kernels, nics, true)?;
    print!("{report}");
    if options.record {
        report.record()?;
    }
    report.result()
}

/// Runs the small part of it.
pub(crate) fn run_small() -> Result<()> {
    let (kernels, nics) = SMALL;
    boot_all(kernels, nics, false)?.result()
}

/// Fetches what the small part needs, if it is not there.
pub(crate) fn fetch_small() -> Result<()> {
    let packages = Packages::open()?;
    SMALL.0.iter().try_for_each(|kernel| packages.kernel(kernel).map(drop))?;
    packages.qemu().map(drop)
}

fn boot_all(kernels: &[&str], nics: &[Nic], fixtures: bool) -> Result<Report> {
    if !Uid::effective().is_root() {
        bail!("the emulated NICs are connected by a bridge in a network namespace, which takes root");
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!("the matrix is of x86-64 kernels and runs on an x86-64 host only");
    }
    let packages = Packages::open()?;
    // All that is to be fetched first: what is missing is said at once, and not after some minutes.
    let kernels = kernels.iter().map(|kernel| packages.kernel(kernel)).collect::<Result<Vec<_>>>()?;
    let qemu = Qemu::new(packages.qemu()?);
    let binaries = Binaries::build(packages.folder())?;
    let mut report = Report::default();
    for kernel in &kernels {
        for (turn, nic) in nics.iter().enumerate() {
            let cells = nic.cells(kernel.version);
            if cells.is_empty() {
                continue;
            }
            // Once for each kernel, and not on those that are refused.
            let verify = turn == 0 && kernel.version >= matrix::OLDEST;
            let plan = Plan { verify, fixtures: verify && fixtures, nics: *nic != Nic::Veth, cells };
            boot(&qemu, &binaries, kernel, *nic, &plan, &packages, &mut report)?;
        }
    }
    Ok(report)
}

fn boot(
    qemu: &Qemu,
    binaries: &Binaries,
    kernel: &Kernel,
    nic: Nic,
    plan: &Plan,
    packages: &Packages,
    report: &mut Report,
) -> Result<()> {
    let name = format!("{}-{}", kernel.release, nic.name());
    println!("kernels: {name}");
    let modules = modules::find(kernel, nic.modules())?;
    let initramfs = packages.folder().join("initramfs.cpio");
    initramfs::write(&initramfs, binaries, &modules, plan).context("make the initramfs")?;
    let log = packages.folder().join(format!("{name}.log"));
    let outcome = qemu.boot(&kernel.image, &initramfs, &nic.machine(), qemu::patience(plan), &log)?;
    report.add(kernel, nic, plan, outcome, &log);
    Ok(())
}
