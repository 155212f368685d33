//! The demonstration: every step has its effect, and nothing is left behind, however it ends.
#![cfg(test)]

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use filter_lab::installation::{BINARY_VARIABLE, Installation};
use filter_lab::process::Process;
use filter_lab::{demo, wait};
use nix::sys::signal::Signal;
use rstest::rstest;
use tempfile::TempDir;

/// Name of the test that runs the demonstration.
const DEMONSTRATION: &str = "every_step_of_the_demonstration_has_its_effect";

#[test]
fn every_step_of_the_demonstration_has_its_effect() {
    demo::run(&Installation::binary_from_env()).unwrap();
}

#[rstest]
#[case::ctrl_c(Signal::SIGINT, true)]
#[case::killed(Signal::SIGKILL, false)]
fn demonstration_that_is_ended_early_leaves_nothing_behind(#[case] signal: Signal, #[case] files_are_removed: bool) {
    let binary = Installation::binary_from_env();
    let dir = TempDir::new().unwrap();
    let (temporary, output) = (dir.path().join("tmp"), dir.path().join("output"));
    fs::create_dir(&temporary).unwrap();

    // This test program again, to run the demonstration in a process that can be ended.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", DEMONSTRATION, "--nocapture"]);
    command.env("TMPDIR", &temporary).env(BINARY_VARIABLE, binary);
    // Appending, so that neither stream overwrites the other.
    let file = File::options().create(true).append(true).open(&output).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let mut run = Process::spawn(command.process_group(0));
    wait::until("the daemon of the demonstration", Duration::from_secs(30), || {
        fs::read_to_string(&output).unwrap().contains("ready, pid")
    });
    assert!(!processes_naming(&temporary).is_empty(), "the daemon was to be running");

    run.signal(signal);
    let status = run.wait(Duration::from_secs(10));
    assert!(!status.success());
    wait::until("the daemon to end", Duration::from_secs(2), || processes_naming(&temporary).is_empty());
    if files_are_removed {
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
        let output = fs::read_to_string(&output).unwrap();
        assert!(output.contains("interrupted"), "{output}");
    }
}

/// Returns the pids of all processes whose command line contains `path`.
fn processes_naming(path: &Path) -> Vec<u32> {
    let path = path.to_str().expect("a path in UTF-8");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that has just ended has no command line.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        if String::from_utf8_lossy(&line).contains(path) {
            found.push(pid);
        }
    }
    found
}
