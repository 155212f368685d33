//! Child processes that do not outlive the test, and the tools that the laboratory runs.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::OrFail as _;
use crate::wait;

/// Time within which a tool must end that does not run until it is killed.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A child process. It is killed (SIGKILL, by its pid) and reaped when this value is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

/// The exit status and the output of a command that has ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status; `None` if a signal ended the command.
    pub code: Option<i32>,
    /// Text on standard output.
    pub stdout: String,
    /// Text on standard error.
    pub stderr: String,
}

impl Process {
    /// Starts `command`.
    ///
    /// # Panics
    ///
    /// Panics if the program cannot be started. If the program is not installed, the message says how to install it.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let program = command.get_program().display().to_string();
        match command.spawn() {
            Ok(child) => Self { child },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                panic!("`{program}` is not installed: run `cargo xtask setup`")
            }
            Err(error) => panic!("cannot start `{program}`: {error}"),
        }
    }

    /// Takes the pipe to the standard input of the process, if it has one.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Returns the pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal`. After SIGSTOP, returns when all threads have stopped.
    ///
    /// # Panics
    ///
    /// Panics if the process is gone, or does not stop.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.try_signal(signal).or_fail(format_args!("cannot send {signal} to process {}", self.pid()));
        if signal == Signal::SIGSTOP {
            // One thread takes the signal and notifies the others, which continue until then.
            wait::until("all threads to stop", TIMEOUT, || self.is_stopped());
        }
    }

    /// Sends `signal`.
    pub(crate) fn try_signal(&self, signal: Signal) -> Result<(), Errno> {
        let pid = i32::try_from(self.pid()).or(Err(Errno::ESRCH))?;
        kill(Pid::from_raw(pid), signal)
    }

    /// Returns whether all threads are stopped (state `T` in `/proc/PID/task/TID/stat`, proc(5)).
    fn is_stopped(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).or_fail("cannot list the threads of a child");
        tasks.flatten().all(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).or_fail("cannot read the state of a thread");
            // The state follows the name, which is in parentheses and may contain anything.
            stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
        })
    }

    /// Reaps the process and returns its exit status if it has ended.
    ///
    /// # Panics
    ///
    /// Panics if waitpid(2) fails.
    #[track_caller]
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().or_fail("cannot wait for a child")
    }

    /// Waits until the process has ended without further action.
    ///
    /// # Panics
    ///
    /// Panics if the process still runs after `timeout`.
    #[track_caller]
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        wait::until_some(format_args!("process {} to end", self.pid()), timeout, || self.try_wait())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process has been reaped already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end, whatever its exit status.
///
/// # Panics
///
/// Panics if `command` cannot be started, or does not end in time; then it is killed.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(command);
    // The output of these tools fits into a pipe (64 KiB), so they can end before anything is read.
    let status = wait::until_some(format_args!("{command:?} to end"), TIMEOUT, || process.try_wait());
    let stdout = read(process.child.stdout.take());
    let stderr = read(process.child.stderr.take());
    Output { code: status.code(), stdout, stderr }
}

#[track_caller]
fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).or_fail("cannot read from a pipe");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs `command` to its end and returns its standard output.
///
/// # Panics
///
/// Panics as [`run`] does, and if the exit status is not 0; the message has the standard error.
#[track_caller]
pub fn stdout(command: &mut Command) -> String {
    let Output { code, stdout, stderr } = run(command);
    assert!(code == Some(0), "{command:?}: exit status {code:?}: {}", stderr.trim());
    stdout
}

/// Describes how a process ended: "exit status 1" or "killed by signal 9".
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
