//! sipp, the load generator that carriers test with: runs a scenario against the proxy, in the caller's namespace.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::lab::Lab;
use crate::process::{Process, describe};
use crate::wire::{End, Family};

/// How long sipp tries before it gives up by itself, in seconds.
const TIMEOUT: u64 = 30;

/// A running sipp. Its files are in a folder of its own, which goes with this value.
#[derive(Debug)]
pub struct Sipp {
    process: Process,
    folder: TempDir,
}

impl Sipp {
    /// Starts `calls` calls of `tests/sipp/SCENARIO.xml`, `rate` a second.
    pub fn start(lab: &Lab, family: Family, scenario: &str, calls: u32, rate: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sip-filter-sipp-").tempdir().context("a folder for sipp")?;
        let output = |name: &str| File::create(folder.path().join(name)).context("a file for what sipp prints");
        let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/sipp")).join(format!("{scenario}.xml"));
        let mut command = lab.outside.command("sipp");
        command.arg(lab.proxy(family).to_string()).arg("-sf").arg(file);
        command.args(["-i", &End::Caller.address(family).to_string(), "-p", "5070"]);
        command.args(["-m", &calls.to_string(), "-r", &rate.to_string(), "-l", &calls.to_string()]);
        command.args(["-nostdin", "-timeout", &format!("{TIMEOUT}s"), "-timeout_error", "-trace_err"]);
        command.current_dir(folder.path()).env("TERM", "dumb");
        command.stdin(Stdio::null()).stdout(output("stdout")?).stderr(output("stderr")?);
        Ok(Self { process: Process::spawn(&mut command)?, folder })
    }

    /// Waits until all calls have ended, as the scenario says; an error shows what sipp complained about.
    pub fn succeeds(mut self) -> Result<()> {
        let status = self.process.wait(Duration::from_secs(TIMEOUT + 5)).context("sipp")?;
        // 0 means that every call went as the scenario has it, and that there was one.
        ensure!(status.success(), "sipp: {}\n{}", describe(status), self.complaints());
        Ok(())
    }

    /// What it wrote on stderr, and into the file of errors that it names after its pid.
    fn complaints(&self) -> String {
        let files = fs::read_dir(self.folder.path()).into_iter().flatten().flatten().map(|entry| entry.path());
        let texts = files.filter(|file| !file.ends_with("stdout")).filter_map(|file| fs::read(file).ok());
        texts.map(|text| String::from_utf8_lossy(&text).chars().take(4000).collect::<String>()).collect()
    }
}
