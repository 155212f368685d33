//! The file of the control socket: one daemon owns it, its permissions are never wrong, and a stale one is replaced.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Group, chown};
use thiserror::Error;

/// Group whose members may use the socket.
const GROUP: &str = "sip-filter";

/// Ownership of the path of a control socket. The socket is removed when the ownership is dropped.
///
/// Ownership is a lock on `PATH.lock`, which the kernel releases with the process. So neither `kill -9` nor two daemons
/// that start at the same time can confuse it. The lock file stays, since removing it would race with the next daemon.
pub struct ControlSocket {
    path: PathBuf,
    _lock: Flock<File>,
}

/// The reason why the socket could not be opened.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another daemon owns it.
    #[error(
        "another sip-filter daemon (process {pid}) has the control socket {}; stop it, or give this one another \
         --socket",
        path.display()
    )]
    Taken {
        /// Socket.
        path: PathBuf,
        /// Process id of the other daemon, from its lock file.
        pid: String,
    },
    /// The path is not that of a socket.
    #[error("{} exists and is not a socket; it is left alone, give another --socket", .0.display())]
    NotASocket(PathBuf),
    /// The system reports an error.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// Attempted action.
        doing: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::Io { doing, path, source }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl ControlSocket {
    /// Claims `path`, unless another daemon owns it. Clients cannot connect yet.
    pub fn claim(path: &Path) -> Result<Self, SocketError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let created = fs::DirBuilder::new().recursive(true).mode(0o755).create(parent);
            created.map_err(io_error("create the directory", parent))?;
        }
        let lock_path = with_suffix(path, ".lock");
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

    /// Returns the path of the socket with `suffix`, which is this daemon's own, too.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        with_suffix(&self.path, suffix)
    }

    /// Opens the socket with mode 0660, for the group `sip-filter` if that group exists.
    ///
    /// The socket is created under another name, and renamed when owner and mode are set. So there is no moment at
    /// which others can connect, and a stale socket of a daemon that was killed is replaced.
    pub fn listen(&self) -> Result<UnixListener, SocketError> {
        let new = with_suffix(&self.path, ".new");
        match fs::remove_file(&new) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(io_error("remove", &new)(source)),
            _ => {}
        }
        let listener = UnixListener::bind(&new).map_err(io_error("create the socket", &new))?;
        fs::set_permissions(&new, Permissions::from_mode(0o660)).map_err(io_error("set the mode of", &new))?;
        if let Ok(Some(group)) = Group::from_name(GROUP) {
            chown(&new, None, Some(group.gid)).map_err(|errno| io_error("change the group of", &new)(errno.into()))?;
        }
        fs::rename(&new, &self.path).map_err(io_error("move the socket to", &self.path))?;
        listener.set_nonblocking(true).map_err(io_error("set up", &self.path))?;
        Ok(listener)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // It is ours, since we hold the lock. If it cannot be removed, the next daemon replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
