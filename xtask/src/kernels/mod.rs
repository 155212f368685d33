//! `cargo xtask kernels`: tests the product on all supported kernels and NIC drivers, in emulated machines.
//!
//! QEMU emulates the CPU without hardware virtualisation, which is slow and gives the same result on every host.

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
use qemu::{Outcome, Qemu};
use report::Report;

/// Kernels of a whole run: the last long-term kernel that is too old, the long-term kernels in Debian's releases, and
/// the newest backport.
const KERNELS: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "newest"];

/// Kernels of `cargo xtask test`: the oldest that is supported, and the newest.
const SMALL_KERNELS: [&str; 2] = ["6.1", "newest"];
/// NICs of `cargo xtask test`: the one that most virtual machines have.
const SMALL_NICS: [Nic; 1] = [Nic::Virtio];

/// Options of `cargo xtask kernels`. An empty list selects everything.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these kernels: a version such as 6.12, or `newest`
    #[arg(long, value_name = "VERSION")]
    kernel: Vec<String>,
    /// Only these NICs
    #[arg(long, value_enum)]
    nic: Vec<Nic>,
    /// Record the verifier's counts and the table in docs/manual/reliability.md (whole runs only)
    #[arg(long)]
    record: bool,
}

/// Runs the selected part of the matrix and prints the table. Fails if a cell has failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run()?;
    let whole = options.kernel.is_empty() && options.nic.is_empty();
    if options.record && !whole {
        bail!("--record requires a run of the whole matrix: leave out --kernel and --nic");
    }
    let selected: Vec<&str> = options.kernel.iter().map(String::as_str).collect();
    let kernels = if selected.is_empty() { KERNELS.as_slice() } else { &selected };
    let nics = if options.nic.is_empty() { Nic::ALL } else { &options.nic };
    let report = boot_all(kernels, nics, true)?;
    print!("{report}");
    if options.record {
        report.record()?;
    }
    report.result()
}

/// Runs the part of the matrix that belongs to `cargo xtask test`, without the packet fixtures.
pub(crate) fn run_small() -> Result<()> {
    boot_all(&SMALL_KERNELS, &SMALL_NICS, false)?.result()
}

/// Downloads everything that [`run_small`] needs, unless the cache has it.
pub(crate) fn fetch_small() -> Result<()> {
    let packages = Packages::open()?;
    SMALL_KERNELS.iter().try_for_each(|kernel| packages.kernel(kernel).map(drop))?;
    packages.qemu().map(drop)
}

fn boot_all(kernels: &[&str], nics: &[Nic], fixtures: bool) -> Result<Report> {
    if !Uid::effective().is_root() {
        bail!("a bridge in a network namespace connects the emulated NICs, which requires root: run this as root");
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!("the emulated kernels are for x86-64 and need an x86-64 host");
    }
    let packages = Packages::open()?;
    // Before the first machine boots, so that a download that fails is reported at once and not after minutes.
    let kernels = kernels.iter().map(|kernel| packages.kernel(kernel)).collect::<Result<Vec<_>>>()?;
    let machines =
        Machines { qemu: Qemu::new(packages.qemu()?), binaries: Binaries::build(packages.folder())?, packages };
    let mut report = Report::default();
    for kernel in &kernels {
        for (index, nic) in nics.iter().enumerate() {
            let cells = nic.cells(kernel.version);
            if cells.is_empty() {
                continue;
            }
            // Once per kernel. The product rejects kernels that are too old before it loads the program.
            let verify = index == 0 && kernel.version >= matrix::OLDEST;
            let plan = Plan { verify, fixtures: verify && fixtures, nics: *nic != Nic::Veth, cells };
            let outcome = machines.boot(kernel, *nic, &plan)?;
            report.add(kernel, *nic, &plan, outcome);
        }
    }
    Ok(report)
}

/// The parts that all machines share.
struct Machines {
    packages: Packages,
    qemu: Qemu,
    binaries: Binaries,
}

impl Machines {
    /// Boots a machine with `kernel` and `nic`, which executes `plan`.
    fn boot(&self, kernel: &Kernel, nic: Nic, plan: &Plan) -> Result<Outcome> {
        let name = format!("{}-{}", kernel.release, nic.name());
        println!("kernels: {name}");
        let modules = modules::find(kernel, nic.modules())?;
        let initramfs = self.packages.folder().join("initramfs.cpio");
        initramfs::write(&initramfs, &self.binaries, &modules, plan)
            .with_context(|| format!("cannot write {}", initramfs.display()))?;
        let log = self.packages.folder().join(format!("{name}.log"));
        self.qemu.boot(&kernel.image, &initramfs, &nic.machine(), qemu::timeout(plan), log)
    }
}
