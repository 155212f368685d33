//! The guest's first and only process: file systems, modules, the steps of the plan, and the end.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};

use super::cell;
use super::plan::{DONE, EXIT_PORT, FIXTURES, MARK, MODULES, PLAN, Plan, Said};
use crate::process;

/// How long the fixtures may take: an emulated CPU is some twenty times slower than a real one.
const FIXTURES_TIME: Duration = Duration::from_secs(600);
/// How many mutated messages the kernel and the host grammar are compared on, by each of two threads: a sample.
const MUTATED_MESSAGES: &str = "3000";

/// Does all that the plan says and turns the machine off. Only for a machine that is there for nothing else.
pub fn run() -> ! {
    if std::process::id() != 1 {
        eprintln!("this is the first process of a virtual machine: `cargo xtask kernels` starts it");
        std::process::exit(2);
    }
    let work = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(anyhow::anyhow!("the guest panicked")));
    if let Err(error) = work {
        say(&Said::Trouble(format!("{error:#}")));
    }
    drain();
    let end = File::options().write(true).open("/dev/port").and_then(|port| port.write_at(&[DONE], EXIT_PORT));
    // The machine is off by now. If it is not, the kernel panics when its first process ends, and QEMU ends by that.
    eprintln!("the machine cannot be turned off by /dev/port: {end:?}");
    std::process::exit(1);
}

fn work() -> Result<()> {
    mount_all()?;
    let plan = fs::read(PLAN).with_context(|| format!("read {PLAN}"))?;
    let plan: Plan = serde_json::from_slice(&plan).context("the plan")?;
    load_modules()?;
    process::output(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    if plan.verify {
        say(&verified()?);
    }
    cell::run_all(&plan, |name, result| say(&Said::Cell(name.to_owned(), result)))?;
    // Last, since they take minutes on an emulated CPU.
    if plan.fixtures {
        say(&fixtures()?);
    }
    Ok(())
}

/// One line on the console, by itself: the kernel may have written half of one.
fn say(said: &Said) {
    let said = serde_json::to_string(said).unwrap_or_else(|error| format!("{error}"));
    println!("\n{MARK}{said}");
}

/// Waits until the serial line has sent what was printed: turned off before that, the machine loses it.
fn drain() {
    // With an argument other than zero it is tcdrain(3), see tty_ioctl(4).
    nix::ioctl_write_int_bad!(tcsbrk, nix::libc::TCSBRK);
    // SAFETY: TCSBRK takes a number, and reads and writes no memory of ours.
    if let Err(error) = unsafe { tcsbrk(std::io::stdout().as_raw_fd(), 1) } {
        eprintln!("the serial line cannot be drained: {error}");
    }
}

fn mount_all() -> Result<()> {
    for (what, path) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")] {
        fs::create_dir_all(path).with_context(|| format!("make {path}"))?;
        mount(Some(what), path, Some(what), MsFlags::empty(), None::<&str>).with_context(|| format!("mount {path}"))?;
    }
    Ok(())
}

fn load_modules() -> Result<()> {
    let mut modules: Vec<PathBuf> =
        fs::read_dir(MODULES).context("the modules")?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    modules.sort();
    for module in modules {
        let file = File::open(&module).with_context(|| format!("open {}", module.display()))?;
        finit_module(&file, c"", ModuleInitFlags::empty()).with_context(|| format!("load {}", module.display()))?;
    }
    Ok(())
}

/// Loads the program, and reads how much work that was for the verifier.
fn verified() -> Result<Said> {
    let mut test = Command::new(FIXTURES);
    test.args(["--exact", "verifier::the_program_is_verified_with_room_to_spare", "--nocapture"]);
    let printed = process::output(&mut test)?;
    let count = printed.lines().find_map(|line| line.trim().split_once("verified instructions: "));
    let (_, count) = count.with_context(|| format!("no count in what the test printed:\n{printed}"))?;
    Ok(Said::Verified(count.trim().parse().context("the count of instructions")?))
}

fn fixtures() -> Result<Said> {
    let log = Path::new("/tmp/fixtures.log");
    let output = File::create(log).context("create the log of the fixtures")?;
    let mut test = Command::new(FIXTURES);
    test.env("SIP_FILTER_TEST_MESSAGES", MUTATED_MESSAGES);
    test.stdout(output.try_clone().context("duplicate the log")?).stderr(output);
    let status = process::Process::spawn(&mut test)?.wait(FIXTURES_TIME)?;
    let log = String::from_utf8_lossy(&fs::read(log).context("read the log of the fixtures")?).into_owned();
    let sum = log.lines().find(|line| line.starts_with("test result: ")).unwrap_or_default().to_owned();
    ensure!(!status.success() || sum.contains(" 0 failed"), "the fixtures end well without a result:\n{log}");
    Ok(Said::Fixtures(if status.success() { Ok(sum) } else { Err(log) }))
}
