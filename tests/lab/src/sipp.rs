//! sipp, the load generator that carriers test with: runs a scenario against the proxy, in the caller's namespace.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use crate::failure::OrFail as _;
use crate::lab::Lab;
use crate::process::{Process, describe};
use crate::wait;
use crate::wire::{End, Family};

/// Time in seconds after which sipp gives up.
const TIMEOUT: u64 = 30;

/// A running sipp. Its files are in its own folder, which is removed when this value is dropped.
#[derive(Debug)]
pub struct Sipp {
    process: Process,
    folder: TempDir,
}

impl Sipp {
    /// Starts `calls` calls of `sipp/SCENARIO.xml`, `rate` a second.
    ///
    /// # Panics
    ///
    /// Panics if sipp cannot be started.
    #[track_caller]
    pub fn start(lab: &Lab, family: Family, scenario: &str, calls: u32, rate: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("sip-filter-sipp-").tempdir();
        let folder = folder.or_fail("cannot create a folder for sipp");
        let output = |name: &str| File::create(folder.path().join(name)).or_fail("cannot create a file for sipp");
        let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/sipp")).join(format!("{scenario}.xml"));
        let mut command = lab.outside.command("sipp");
        command.arg(lab.proxy(family).to_string()).arg("-sf").arg(file);
        command.args(["-i", &End::Caller.address(family).to_string(), "-p", "5070"]);
        command.args(["-m", &calls.to_string(), "-r", &rate.to_string(), "-l", &calls.to_string()]);
        command.args(["-nostdin", "-timeout", &format!("{TIMEOUT}s"), "-timeout_error", "-trace_err"]);
        command.current_dir(folder.path()).env("TERM", "dumb");
        command.stdin(Stdio::null()).stdout(output("stdout")).stderr(output("stderr"));
        Self { process: Process::spawn(&mut command), folder }
    }

    /// Waits until all calls have ended.
    ///
    /// # Panics
    ///
    /// Panics unless each call went as the scenario says; the message has what sipp reports.
    #[track_caller]
    pub fn expect_success(mut self) {
        let ended = wait::poll(Duration::from_secs(TIMEOUT + 5), || self.process.try_wait());
        let status = ended.or_fail(format_args!("sipp does not end\n{}", self.errors()));
        // Exit status 0: every call went as the scenario says, and there was at least one.
        assert!(status.success(), "sipp: {}\n{}", describe(status), self.errors());
    }

    /// Returns what sipp wrote on standard error, and into its file of errors, which it names after its pid.
    fn errors(&self) -> String {
        let files = fs::read_dir(self.folder.path()).into_iter().flatten().flatten().map(|entry| entry.path());
        let texts = files.filter(|file| !file.ends_with("stdout")).filter_map(|file| fs::read(file).ok());
        texts.map(|text| String::from_utf8_lossy(&text).chars().take(4000).collect::<String>()).collect()
    }
}
