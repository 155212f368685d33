//! Child processes that do not outlive the test, and the tools that the laboratory runs.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// How long a tool may take that does not run for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// A child process; it is killed (SIGKILL, by its pid) and reaped when this value goes.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        Ok(Self { child: command.spawn().map_err(|error| explain(error, command))? })
    }

    /// Its standard input, if that is a pipe and was not taken before.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it `signal`. After SIGSTOP it has really stopped.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("pid out of range")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to process {pid}"))?;
        if signal == Signal::SIGSTOP {
            // One thread takes the signal and tells the others, which go on until they hear of it.
            wait::until("all threads to stop", PATIENCE, || self.has_stopped())?;
        }
        Ok(())
    }

    /// Whether all of its threads are stopped (state `T` in `/proc/PID/task/TID/stat`, proc(5)).
    fn has_stopped(&self) -> Result<bool> {
        for task in fs::read_dir(format!("/proc/{}/task", self.pid())).context("the threads of a child")? {
            let stat = fs::read_to_string(task?.path().join("stat")).context("the state of a thread")?;
            // The state follows the name, which is in parentheses and may hold anything.
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
            if !state.is_some_and(|state| state.starts_with('T')) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The exit status if it has ended (and reaps it then).
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("wait for a child")
    }

    /// Waits until it has ended by itself, at most for `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        wait::for_some("the process to end", timeout, || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has been reaped already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end and returns its stdout; an error says what it printed on stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let output = run(command)?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", describe(output.status), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` to its end, whatever its exit status; an error (and it is killed) if that takes too long.
pub fn run(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(command)?;
    // What a tool prints here fits into a pipe (64 KiB), so it can end before anybody reads.
    let status = process.wait(PATIENCE).with_context(|| format!("{command:?}"))?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let Some(mut pipe) = process.child.stdout.take() {
        pipe.read_to_end(&mut stdout).context("read stdout")?;
    }
    if let Some(mut pipe) = process.child.stderr.take() {
        pipe.read_to_end(&mut stderr).context("read stderr")?;
    }
    Ok(Output { status, stdout, stderr })
}

/// "exit status 1" or "killed by signal 9".
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Says what to do if a tool is missing.
fn explain(error: io::Error, command: &Command) -> anyhow::Error {
    let program = command.get_program().display();
    let text = match error.kind() {
        io::ErrorKind::NotFound => format!("`{program}` is not installed: `cargo xtask setup` installs what is needed"),
        _ => format!("start `{program}`"),
    };
    anyhow::Error::new(error).context(text)
}
