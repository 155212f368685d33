//! The socket's file: one daemon has it, it never has the wrong permissions, and a stale one is no obstacle.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Group, chown};
use thiserror::Error;

/// Its members may use the socket.
const GROUP: &str = "sip-filter";

/// The claim to a socket path; the socket is gone when it is dropped.
///
/// The claim is a lock on `PATH.lock`, which the kernel drops with the process, so that neither a `kill -9` nor two
/// daemons that start at once can confuse it. That file stays: to remove it would be to race with the next one.
pub struct ControlSocket {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Why the socket could not be had.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another daemon has it.
    #[error("another sip-filter daemon (process {pid}) has the control socket {}; stop it, or give this one another --socket", path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
        /// Process id of the other one, as its lock file has it.
        pid: String,
    },
    /// Not a socket.
    #[error("{} is there and is not a socket; it is left alone, give another --socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::Io { doing, path, source }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl ControlSocket {
    /// Claims `path`, unless another daemon has it. Nobody can connect yet.
    pub fn claim(path: &Path) -> Result<Self, SocketError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(parent);
            made.map_err(io_error("create the directory", parent))?;
        }
        let lock_path = beside(path, ".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&lock_path)
            .map_err(io_error("open", &lock_path))?;
        let mut pid = String::new();
        let _ = (&mut file).take(20).read_to_string(&mut pid);
        let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => SocketError::Taken { path: path.into(), pid: pid.trim().to_owned() },
            errno => SocketError::Io { doing: "lock", path: lock_path.clone(), source: errno.into() },
        })?;
        write_pid(&mut lock).map_err(io_error("write", &lock_path))?;
        match fs::symlink_metadata(path) {
            Ok(meta) if !meta.file_type().is_socket() => Err(SocketError::NotASocket(path.into())),
            _ => Ok(Self { path: path.into(), _lock: lock }),
        }
    }

    /// A path of this daemon's alone, in the same directory.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.path, suffix)
    }

    /// Opens the socket: 0660, of the group `sip-filter` if there is one.
    ///
    /// It is made under another name and renamed when all is right with it. So there is no moment at which others may
    /// connect, and a stale one of a daemon that was killed is replaced.
    pub fn listen(&self) -> Result<UnixListener, SocketError> {
        let new = beside(&self.path, ".new");
        match fs::remove_file(&new) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(io_error("remove", &new)(source)),
            _ => {}
        }
        let listener = UnixListener::bind(&new).map_err(io_error("make the socket", &new))?;
        fs::set_permissions(&new, Permissions::from_mode(0o660)).map_err(io_error("set the mode of", &new))?;
        if let Ok(Some(group)) = Group::from_name(GROUP) {
            chown(&new, None, Some(group.gid)).map_err(|errno| io_error("give to the group", &new)(errno.into()))?;
        }
        fs::rename(&new, &self.path).map_err(io_error("put the socket at", &self.path))?;
        listener.set_nonblocking(true).map_err(io_error("set up", &self.path))?;
        Ok(listener)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Ours, for we have the lock. If it cannot be removed the next daemon replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
