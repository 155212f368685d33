//! The first and only process of a guest: mounts file systems, loads modules, runs the plan, and turns the machine off.

#![expect(
    clippy::print_stdout,
    clippy::exit,
    reason = "the first process reports on the console, and ends the machine"
)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::termios::tcdrain;

use super::plan::{DONE, EXIT_PORT, FIXTURES, GuestReport, MODULES, PLAN, Plan, REPORT_PREFIX};
use super::{cell, network};
use crate::failure::catch;
use crate::process::{self, Process};

/// Time within which the fixtures must end: an emulated CPU is some twenty times slower than a real one.
const FIXTURES_TIMEOUT: Duration = Duration::from_mins(10);
/// Number of mutated messages on which the kernel and the host grammar are compared, by each of two threads: a sample.
const MUTATED_MESSAGES: &str = "3000";

/// Runs the plan and turns the machine off. Only for a machine that was booted for this.
pub fn run() -> ! {
    if std::process::id() != 1 {
        eprintln!("this is the first process of a virtual machine: `cargo xtask kernels` starts it");
        std::process::exit(2);
    }
    let result = catch(work).unwrap_or_else(|panic| Err(anyhow::Error::msg(panic)));
    if let Err(error) = result {
        print(&GuestReport::Failed(format!("{error:#}")));
    }
    // The machine must not be turned off before the serial line has sent everything.
    if let Err(error) = tcdrain(std::io::stdout()) {
        eprintln!("cannot drain the serial line: {error}");
    }
    let end = File::options().write(true).open("/dev/port").and_then(|port| port.write_at(&[DONE], EXIT_PORT));
    // The machine is off by now. If not, the kernel panics when its first process ends, and that ends QEMU.
    eprintln!("cannot turn the machine off through /dev/port: {end:?}");
    std::process::exit(1);
}

fn work() -> Result<()> {
    mount_all()?;
    let plan = fs::read(PLAN).with_context(|| format!("cannot read {PLAN}"))?;
    let plan: Plan = serde_json::from_slice(&plan).with_context(|| format!("cannot parse {PLAN}"))?;
    load_modules()?;
    process::stdout(Command::new("ip").args(["link", "set", "lo", "up"]));
    if plan.verify {
        print(&count_verified()?);
    }
    cell::run_all(&plan, |name, result| print(&GuestReport::Cell(name.to_owned(), result)));
    network::run_all(&plan.scenarios, |name, result| print(&GuestReport::Scenario(name.to_owned(), result)));
    // Last, since the fixtures take minutes on an emulated CPU.
    if plan.fixtures {
        print(&run_fixtures()?);
    }
    Ok(())
}

/// Prints one line on the console. The line break before it ends a line that the kernel may be writing.
fn print(report: &GuestReport) {
    let report = serde_json::to_string(report).unwrap_or_else(|error| format!("{error}"));
    println!("\n{REPORT_PREFIX}{report}");
}

fn mount_all() -> Result<()> {
    for (kind, path) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")] {
        fs::create_dir_all(path).with_context(|| format!("cannot create {path}"))?;
        mount(Some(kind), path, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount {path}"))?;
    }
    Ok(())
}

fn load_modules() -> Result<()> {
    let modules = fs::read_dir(MODULES).with_context(|| format!("cannot list {MODULES}"))?;
    let mut modules: Vec<PathBuf> = modules.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    modules.sort();
    for module in modules {
        let file = File::open(&module).with_context(|| format!("cannot open {}", module.display()))?;
        finit_module(&file, c"", ModuleInitFlags::empty())
            .with_context(|| format!("cannot load {}", module.display()))?;
    }
    Ok(())
}

/// Loads the XDP program and returns the number of instructions that the verifier went through.
fn count_verified() -> Result<GuestReport> {
    let mut test = Command::new(FIXTURES);
    test.args(["--exact", "verifier::the_program_is_verified_with_room_to_spare", "--nocapture"]);
    let printed = process::stdout(&mut test);
    let count = printed.lines().find_map(|line| line.trim().split_once("verified instructions: "));
    let (_, count) = count.with_context(|| format!("the test printed no count of instructions:\n{printed}"))?;
    Ok(GuestReport::Verified(count.trim().parse().with_context(|| format!("{count} is no count of instructions"))?))
}

/// Runs the tests of the XDP program on single packets.
fn run_fixtures() -> Result<GuestReport> {
    let log = Path::new("/tmp/fixtures.log");
    let output = File::create(log).context("cannot create the log of the fixtures")?;
    let mut test = Command::new(FIXTURES);
    test.env("SIP_FILTER_TEST_MESSAGES", MUTATED_MESSAGES);
    test.stdout(output.try_clone().context("cannot duplicate a descriptor")?).stderr(output);
    let status = Process::spawn(&mut test).wait(FIXTURES_TIMEOUT);
    let log = fs::read(log).context("cannot read the log of the fixtures")?;
    let log = String::from_utf8_lossy(&log).into_owned();
    let sum = log.lines().find(|line| line.starts_with("test result: ")).unwrap_or_default().to_owned();
    let has_passed = sum.contains(" 0 failed") && !sum.contains(" 0 passed");
    ensure!(!status.success() || has_passed, "the fixtures succeed without a result:\n{log}");
    Ok(GuestReport::Fixtures(if status.success() { Ok(sum) } else { Err(log) }))
}
