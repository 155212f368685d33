//! The daemon under test: started, observed, sent signals, and never left behind.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::failure::OrFail as _;
use crate::installation::Installation;
use crate::interrupt;
use crate::process::{Process, describe};
use crate::wait;

/// Start of the line that the daemon prints once it is attached and has applied the policy.
const READY: &str = "sip-filter ready";

/// Time within which the daemon must print that line, also on a busy machine or an emulated one.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Time within which the daemon must end after a signal.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A running `sip-filter run`. It is killed and reaped when this value is dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    log: PathBuf,
}

impl Daemon {
    /// Starts the daemon of `installation` and waits until it is ready.
    ///
    /// # Panics
    ///
    /// Panics if the daemon ends or is not ready in time; the message has its log.
    #[track_caller]
    pub fn start(installation: &Installation, arguments: &[&str]) -> Self {
        Self::start_with_env(installation, arguments, &[])
    }

    /// Starts the daemon as [`Self::start`] does, with these names and values added to its environment.
    ///
    /// # Panics
    ///
    /// Panics as [`Self::start`] does.
    #[track_caller]
    pub fn start_with_env(installation: &Installation, arguments: &[&str], variables: &[(String, String)]) -> Self {
        let (stdout, log) = (installation.stdout_file(), installation.log_file());
        let output = File::create(&stdout).or_fail("cannot create the file for the daemon's standard output");
        let errors = OpenOptions::new().append(true).create(true).open(&log).or_fail("cannot open the daemon's log");
        let mut command = installation.command();
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.arg("run").args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        // A process group of its own: Ctrl-C at the terminal is for the laboratory, which then ends the daemon.
        command.process_group(0);
        let mut daemon = Self { process: Process::spawn(&mut command), log };
        let is_ready =
            || fs::read_to_string(&stdout).is_ok_and(|text| text.lines().any(|line| line.starts_with(READY)));
        let started = wait::poll(START_TIMEOUT, || {
            interrupt::check();
            match daemon.process.try_wait() {
                Some(status) => Some(Err(status)),
                None => is_ready().then_some(Ok(())),
            }
        });
        match started {
            Some(Ok(())) => daemon,
            Some(Err(status)) => {
                panic!("the daemon ended before it was ready: {}; its log:\n{}", describe(status), daemon.log())
            }
            None => panic!("the daemon was not ready after {START_TIMEOUT:?}; its log:\n{}", daemon.log()),
        }
    }

    /// Returns the pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends `signal`. After SIGSTOP, returns when all threads have stopped.
    ///
    /// # Panics
    ///
    /// Panics if the daemon is gone, or does not stop.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Sends `signal` and waits until the daemon has ended.
    ///
    /// # Panics
    ///
    /// Panics if the daemon still runs after 10 s; the message has its log.
    #[track_caller]
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        let ended = wait::poll(END_TIMEOUT, || self.process.try_wait());
        ended.or_fail(format_args!("the daemon still runs {END_TIMEOUT:?} after {signal}; its log:\n{}", self.log()))
    }

    /// Returns whether the daemon runs.
    ///
    /// # Panics
    ///
    /// Panics if waitpid(2) fails.
    #[track_caller]
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().is_none()
    }

    /// Returns the daemon's log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}
