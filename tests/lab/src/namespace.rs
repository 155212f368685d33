//! Network namespaces without a name, in which a test runs code, sockets and child processes.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::process;

/// A network namespace that lives as long as this value (and what was started or opened in it).
///
/// It has no name under `/run/netns`: only the descriptor keeps it, so the kernel removes it, and the links in it,
/// when the process ends in whatever way.
#[derive(Clone, Debug)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// Makes a fresh namespace, with its loopback up.
    pub fn new() -> Result<Self> {
        // A thread of its own: the caller must not leave the namespace that it is in.
        let file = thread::scope(|scope| scope.spawn(unshared).join())
            .map_err(|_| anyhow!("the thread that makes a network namespace panicked"))??;
        let namespace = Self { fd: Arc::new(file.into()) };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Runs `work` in a thread within the namespace and returns what it returns.
    ///
    /// Sockets opened by `work` stay in the namespace. Start processes by [`Self::command`] instead: a child dies
    /// with the thread that started it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || {
            setns(&*self.fd, CloneFlags::CLONE_NEWNET).context("setns into the network namespace")?;
            Ok(work())
        };
        match thread::scope(|scope| scope.spawn(inside).join()) {
            Ok(result) => result,
            // An assertion of the test failed in there: let it fail the test with its own message.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// A UDP socket in the namespace, bound to `address`.
    pub fn bind_udp(&self, address: SocketAddr) -> Result<UdpSocket> {
        self.run(|| UdpSocket::bind(address))?.with_context(|| format!("bind UDP {address} in the namespace"))
    }

    /// A command that will run in the namespace, and be killed when the thread that started it ends.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let fd = Arc::clone(&self.fd);
        let parent = nix::unistd::getpid();
        let enter = move || {
            setns(&*fd, CloneFlags::CLONE_NEWNET)?;
            set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have gone between fork and prctl; then the signal never comes.
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

    /// Runs a whole command line (words split at white space) and returns its stdout; an error has its stderr.
    pub fn sh(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command line")?;
        process::output(self.command(program).args(words))
    }

    /// `ip ARGUMENTS` (iproute2) in the namespace.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        self.sh(&format!("ip {arguments}"))
    }

    /// Sets a network `sysctl` of the namespace, such as `net/ipv6/conf/all/accept_dad`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        // /proc/sys/net shows the namespace of the thread that opens the file.
        let path = PathBuf::from("/proc/sys").join(key);
        self.run(|| std::fs::write(&path, value))?.with_context(|| format!("write {value} to {}", path.display()))
    }

    /// A path by which other processes, such as `ip link … netns PATH`, can name the namespace.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()))
    }
}

/// Moves the calling thread into a new network namespace and returns the handle to it.
fn unshared() -> Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)
        .context("making a network namespace needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN): run this as root")?;
    File::open("/proc/thread-self/ns/net").context("open /proc/thread-self/ns/net")
}
