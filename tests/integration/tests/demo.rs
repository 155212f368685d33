//! The demonstration: it holds, and it leaves nothing behind, however it is ended.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use filter_lab::installation::{BINARY, Installation};
use filter_lab::process::Process;
use filter_lab::{demo, wait};
use nix::sys::signal::Signal;
use rstest::rstest;

#[test]
fn each_step_holds() -> Result<()> {
    demo::run(&Installation::binary_from_env()?)
}

#[rstest]
#[case::ctrl_c(Signal::SIGINT, true)]
#[case::killed(Signal::SIGKILL, false)]
fn it_leaves_nothing_behind_when_it_is_ended(#[case] signal: Signal, #[case] files_gone: bool) -> Result<()> {
    let binary = Installation::binary_from_env()?;
    let dir = tempfile::tempdir()?;
    let (temporary, output) = (dir.path().join("tmp"), dir.path().join("output"));
    fs::create_dir(&temporary)?;

    // This test program again, to run the demonstration in a process that can be ended.
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "each_step_holds", "--nocapture"]).env("TMPDIR", &temporary).env(BINARY, binary);
    command.stdout(File::create(&output)?).stderr(File::options().append(true).open(&output)?).process_group(0);
    let mut run = Process::spawn(&mut command)?;
    wait::until("the daemon of the demonstration", Duration::from_secs(30), || {
        Ok(fs::read_to_string(&output)?.contains("ready, pid"))
    })?;
    assert!(!processes_naming(&temporary)?.is_empty(), "the daemon was to be running");

    run.signal(signal)?;
    let status = run.wait(Duration::from_secs(10))?;
    assert!(!status.success());
    wait::until("the daemon to be gone", Duration::from_secs(2), || Ok(processes_naming(&temporary)?.is_empty()))?;
    if files_gone {
        assert_eq!(fs::read_dir(&temporary)?.count(), 0);
        let output = fs::read_to_string(&output)?;
        assert!(output.contains("interrupted"), "{output}");
    }
    Ok(())
}

/// The pids of all processes that have `path` in their command line.
fn processes_naming(path: &Path) -> Result<Vec<u32>> {
    let path = path.to_str().context("a path in UTF-8")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that has just ended has no command line any more.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        if String::from_utf8_lossy(&line).contains(path) {
            found.push(pid);
        }
    }
    Ok(found)
}
