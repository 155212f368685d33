//! Network namespaces without a name, in which a test runs code, sockets and child processes.

#![expect(unsafe_code, reason = "a child enters the namespace between fork and exec (`CommandExt::pre_exec`)")]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::failure::OrFail as _;
use crate::process;

/// A network namespace that lives as long as this value and whatever was started or opened in it.
///
/// The namespace has no name under `/run/netns`. Only the descriptor holds it, so the kernel removes it, and the links
/// in it, when the process ends in whatever way.
#[derive(Clone, Debug)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// Creates a namespace and sets its loopback interface up.
    ///
    /// # Panics
    ///
    /// Panics if the process may not create a namespace.
    #[expect(clippy::new_without_default, reason = "a constructor that takes root is no default")]
    #[track_caller]
    pub fn new() -> Self {
        // In another thread, since the calling thread must stay in its namespace.
        let file = in_thread(unshare_network)
            .or_fail("cannot create a network namespace, which takes root (CAP_SYS_ADMIN, CAP_NET_ADMIN)");
        let namespace = Self { fd: Arc::new(file.into()) };
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `work` in a thread within the namespace and returns its result.
    ///
    /// Sockets opened by `work` stay in the namespace. Start processes with [`Self::command`] instead: a child dies
    /// with the thread that started it.
    ///
    /// # Panics
    ///
    /// Panics if the namespace cannot be entered, and with the panic of `work`.
    #[track_caller]
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || setns(&*self.fd, CloneFlags::CLONE_NEWNET).map(|()| work());
        in_thread(inside).or_fail("cannot enter the network namespace")
    }

    /// Opens a UDP socket in the namespace, bound to `address`.
    ///
    /// # Panics
    ///
    /// Panics if `address` cannot be bound.
    #[track_caller]
    pub fn bind_udp(&self, address: SocketAddr) -> UdpSocket {
        self.run(|| UdpSocket::bind(address)).or_fail(format_args!("cannot bind UDP {address} in the namespace"))
    }

    /// Returns a command that will run in the namespace, and that is killed when the thread that starts it ends.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let fd = Arc::clone(&self.fd);
        let parent = nix::unistd::getpid();
        let enter = move || {
            setns(&*fd, CloneFlags::CLONE_NEWNET)?;
            set_pdeathsig(Signal::SIGKILL)?;
            // If the parent has ended between fork and prctl, the signal never comes.
            if nix::unistd::getppid() != parent {
                return Err(nix::errno::Errno::ESRCH.into());
            }
            Ok(())
        };
        // SAFETY: `enter` runs between fork and exec. It makes only the system calls setns, prctl and getppid, which
        // are async-signal-safe; it neither allocates nor takes a lock, and `fd` is open because the closure owns it.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Runs a command line, whose words are separated by white space, and returns its standard output.
    ///
    /// # Panics
    ///
    /// Panics if the command fails; the message has its standard error.
    #[track_caller]
    pub fn exec(&self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let program = words.next().or_fail("an empty command line");
        process::stdout(self.command(program).args(words))
    }

    /// Runs `ip ARGUMENTS` (iproute2) in the namespace and returns its standard output.
    ///
    /// # Panics
    ///
    /// Panics if `ip` fails; the message has its standard error.
    #[track_caller]
    pub fn ip(&self, arguments: &str) -> String {
        self.exec(&format!("ip {arguments}"))
    }

    /// Sets a network sysctl of the namespace, such as `net/ipv6/conf/all/accept_dad`.
    ///
    /// # Panics
    ///
    /// Panics if the kernel does not have `key` or rejects `value`.
    #[track_caller]
    pub fn set_sysctl(&self, key: &str, value: &str) {
        // /proc/sys/net shows the namespace of the thread that opens the file.
        let path = Path::new("/proc/sys").join(key);
        self.run(|| std::fs::write(&path, value))
            .or_fail(format_args!("cannot write {value} to {} in the namespace", path.display()));
    }

    /// Returns a path by which other processes, such as `ip link … netns PATH`, can name the namespace.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()))
    }
}

/// Runs `work` in a thread and returns its result, or panics with its panic: a failed assertion of a test keeps its
/// message.
fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Moves the calling thread into a new network namespace and returns the handle of the namespace.
fn unshare_network() -> io::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    File::open("/proc/thread-self/ns/net")
}
