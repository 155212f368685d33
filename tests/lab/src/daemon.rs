//! The daemon under test: started, watched, sent signals, and never left behind.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use crate::installation::Installation;
use crate::process::{Process, describe};
use crate::wait;

/// What the daemon prints once it is attached and has applied the policy.
const READY: &str = "sip-filter ready";

/// How long it may take to get there, on a busy machine or an emulated one.
const START: Duration = Duration::from_secs(60);

/// A running `sip-filter run`; it is killed and reaped when this value goes.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    log: PathBuf,
}

impl Daemon {
    /// Starts the daemon of `installation` and waits until it is ready; an error has its log.
    pub fn start(installation: &Installation, arguments: &[&str]) -> Result<Self> {
        Self::start_with(installation, arguments, &[])
    }

    /// The same with these variables in its environment, names and values.
    pub fn start_with(installation: &Installation, arguments: &[&str], variables: &[(String, String)]) -> Result<Self> {
        let (stdout, log) = (installation.stdout_file(), installation.log_file());
        let output = File::create(&stdout).context("create the daemon's stdout")?;
        let errors = OpenOptions::new().append(true).create(true).open(&log).context("open the daemon's log")?;
        let mut command = installation.command();
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.arg("run").args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        // A group of its own: Ctrl-C at the terminal is for the laboratory, which then ends the daemon.
        command.process_group(0);
        let mut daemon = Self { process: Process::spawn(&mut command)?, log };
        let ready = wait::until("the daemon's ready line", START, || {
            if let Some(status) = daemon.process.ended()? {
                bail!("the daemon ended before it was ready: {}", describe(status));
            }
            Ok(fs::read_to_string(&stdout).is_ok_and(|text| text.lines().any(|line| line.starts_with(READY))))
        });
        ready.with_context(|| format!("log of the daemon:\n{}", daemon.log()))?;
        Ok(daemon)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends it `signal`.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Sends it `signal` and waits until it has ended.
    pub fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        let ended = self.process.wait(Duration::from_secs(10));
        ended.with_context(|| format!("the daemon after {signal}; its log:\n{}", self.log()))
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_none())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}
