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
use filter_lab::guest::network::Scenario;
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

/// Kernels of the scenarios, which a run without options repeats on no other kernel.
const SCENARIO_KERNELS: [&str; 2] = SMALL_KERNELS;

/// Options of `cargo xtask kernels`. An empty list selects everything.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these kernels: a version such as 6.12, or `newest`
    #[arg(long, value_name = "VERSION")]
    kernel: Vec<String>,
    /// Only these NICs
    #[arg(long, value_enum)]
    nic: Vec<Nic>,
    /// Only the scenarios whose name contains TEXT, and nothing else; without TEXT, all scenarios
    #[arg(long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "")]
    scenario: Vec<String>,
    /// Record the verifier's counts and the tables in docs/manual/reliability.md (whole runs only)
    #[arg(long)]
    record: bool,
}

impl Options {
    /// Returns the names of the kernels.
    fn kernels(&self) -> Vec<&str> {
        if !self.kernel.is_empty() {
            return self.kernel.iter().map(String::as_str).collect();
        }
        if self.scenario.is_empty() { KERNELS.to_vec() } else { SCENARIO_KERNELS.to_vec() }
    }

    /// Returns the work on the kernel that was selected by the name `kernel`.
    fn work(&self, kernel: &str) -> Work<'_> {
        if !self.scenario.is_empty() {
            return Work { cells: false, fixtures: false, scenarios: Scenarios::Containing(&self.scenario) };
        }
        let is_selected = !self.kernel.is_empty() || SCENARIO_KERNELS.contains(&kernel);
        let scenarios = if is_selected { Scenarios::All } else { Scenarios::None };
        Work { cells: true, fixtures: true, scenarios }
    }
}

/// The part of the checks that runs on a kernel.
#[derive(Clone, Copy)]
struct Work<'a> {
    /// Counts the instructions that the verifier processes, and runs the cells.
    cells: bool,
    /// Runs the packet fixtures, which take minutes.
    fixtures: bool,
    scenarios: Scenarios<'a>,
}

/// The scenarios that run on a kernel.
#[derive(Clone, Copy)]
enum Scenarios<'a> {
    None,
    /// Those of the NIC.
    All,
    /// Those of the NIC whose name contains one of the texts.
    Containing(&'a [String]),
}

impl Scenarios<'_> {
    /// Returns the scenarios on the machine with `nic`.
    fn on(self, nic: Nic) -> Vec<&'static Scenario> {
        match self {
            Self::None => Vec::new(),
            Self::All => nic.scenarios().collect(),
            Self::Containing(texts) => {
                let is_named = |scenario: &Scenario| texts.iter().any(|text| scenario.name.contains(text));
                nic.scenarios().filter(|scenario| is_named(scenario)).collect()
            }
        }
    }
}

/// Runs the selected part of the matrix and prints the tables. Fails if a check has failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run()?;
    let whole = options.kernel.is_empty() && options.nic.is_empty() && options.scenario.is_empty();
    if options.record && !whole {
        bail!("--record requires a run of the whole matrix: leave out --kernel, --nic and --scenario");
    }
    let nics = if options.nic.is_empty() { Nic::ALL } else { &options.nic };
    let report = boot_all(&options.kernels(), nics, |kernel| options.work(kernel))?;
    print!("{report}");
    if options.record {
        report.record()?;
    }
    report.result()
}

/// Runs the part of the matrix that belongs to `cargo xtask test`, without the packet fixtures.
pub(crate) fn run_small() -> Result<()> {
    let work = Work { cells: true, fixtures: false, scenarios: Scenarios::None };
    boot_all(&SMALL_KERNELS, &SMALL_NICS, |_kernel| work)?.result()
}

/// Downloads everything that [`run_small`] needs, unless the cache has it.
pub(crate) fn fetch_small() -> Result<()> {
    let packages = Packages::open()?;
    SMALL_KERNELS.iter().try_for_each(|kernel| packages.kernel(kernel).map(drop))?;
    packages.qemu().map(drop)
}

fn boot_all<'a>(kernels: &[&str], nics: &[Nic], work: impl Fn(&str) -> Work<'a>) -> Result<Report> {
    if !Uid::effective().is_root() {
        bail!("a bridge in a network namespace connects the emulated NICs, which requires root: run this as root");
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!("the emulated kernels are for x86-64 and need an x86-64 host");
    }
    let packages = Packages::open()?;
    // Before the first machine boots, so that a download that fails is reported at once and not after minutes.
    let unpacked = kernels.iter().map(|kernel| packages.kernel(kernel)).collect::<Result<Vec<_>>>()?;
    let machines =
        Machines { qemu: Qemu::new(packages.qemu()?), binaries: Binaries::build(packages.folder())?, packages };
    let mut report = Report::default();
    for (name, kernel) in kernels.iter().zip(&unpacked) {
        for (index, nic) in nics.iter().enumerate() {
            let (plan, modules) = plan(kernel, *nic, work(name), index == 0);
            if plan.cells.is_empty() && plan.scenarios.is_empty() {
                continue;
            }
            let outcome = machines.boot(kernel, *nic, &plan, &modules)?;
            report.add(kernel, *nic, &plan, outcome);
        }
    }
    if report.is_empty() {
        bail!("nothing was run: there is no such scenario on these NICs");
    }
    Ok(report)
}

/// Returns the plan of the machine with `kernel` and `nic`, and the modules that it needs.
fn plan(kernel: &Kernel, nic: Nic, work: Work<'_>, is_first: bool) -> (Plan, Vec<&'static str>) {
    // The product rejects kernels that are too old before it loads the program.
    let is_supported = kernel.version >= matrix::OLDEST;
    let scenarios = if is_supported { work.scenarios.on(nic) } else { Vec::new() };
    // Once per kernel.
    let verify = work.cells && is_first && is_supported;
    let plan = Plan {
        verify,
        fixtures: verify && work.fixtures,
        nics: nic != Nic::Veth,
        cells: if work.cells { nic.cells(kernel.version) } else { Vec::new() },
        scenarios: scenarios.iter().map(|scenario| scenario.name.to_owned()).collect(),
    };
    let mut modules = nic.modules().to_vec();
    if !scenarios.is_empty() {
        modules.push("veth");
        modules.extend(scenarios.iter().flat_map(|scenario| scenario.modules));
    }
    (plan, modules)
}

/// The parts that all machines share.
struct Machines {
    packages: Packages,
    qemu: Qemu,
    binaries: Binaries,
}

impl Machines {
    /// Boots a machine with `kernel`, `nic` and `modules`, which executes `plan`.
    fn boot(&self, kernel: &Kernel, nic: Nic, plan: &Plan, modules: &[&str]) -> Result<Outcome> {
        let name = format!("{}-{}", kernel.release, nic.name());
        println!("kernels: {name}");
        let modules = modules::find(kernel, modules)?;
        let initramfs = self.packages.folder().join("initramfs.cpio");
        initramfs::write(&initramfs, &self.binaries, &modules, plan)
            .with_context(|| format!("cannot write {}", initramfs.display()))?;
        let log = self.packages.folder().join(format!("{name}.log"));
        self.qemu.boot(&kernel.image, &initramfs, &nic.machine(), qemu::timeout(plan), log)
    }
}
