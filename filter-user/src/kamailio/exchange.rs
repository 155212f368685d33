//! Exchange of datagrams with Kamailio.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::net::UnixDatagram;
use tokio::time::{Instant, timeout_at};

use super::Error;
use super::message::Request;

/// Time for all requests of an exchange together. Kamailio replies in less than a millisecond, and a switch of
/// maintenance waits for this.
pub(super) const EXCHANGE_TIMEOUT: Duration = Duration::from_millis(250);

/// Maximum length of a reply in bytes. Replies have a few hundred; the longest is the list of the htables.
const MAX_REPLY: usize = 64 * 1024;

/// Our socket, connected to Kamailio's.
///
/// It is created for a few requests, so that a restart of Kamailio, or a script that cleans up the directory, between
/// two exchanges does not matter.
pub(super) struct Exchange {
    socket: UnixDatagram,
    own: SocketFile,
    peer: PathBuf,
    id: u32,
    deadline: Instant,
}

/// The file of our socket, removed on drop.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If this fails, the next exchange removes the file, or reports why it cannot.
        let _ = fs::remove_file(&self.0);
    }
}

impl Exchange {
    /// Opens our socket at `own`, and connects it to Kamailio's at `peer`.
    ///
    /// Kamailio replies to the path to which our socket is bound, and runs as another user, so that path is writable
    /// for all. But the kernel lets only the peer write to a connected datagram socket (`unix_may_send` in
    /// `net/unix/af_unix.c`). So the socket is connected first, and made writable after that.
    pub(super) fn open(own: &Path, peer: &Path) -> Result<Self, Error> {
        let failed = |doing| move |source| Error::Own { doing, path: own.to_owned(), source };
        // A killed daemon leaves its file behind. The lock of the control socket keeps other daemons away.
        match fs::remove_file(own) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove")(error)),
            _ => {}
        }
        let socket = UnixDatagram::bind(own).map_err(failed("create"))?;
        let file = SocketFile(own.to_owned());
        socket.connect(peer).map_err(|error| peer_error(peer, error))?;
        fs::set_permissions(own, Permissions::from_mode(0o666)).map_err(failed("set the mode of"))?;
        let mut id = [0; 4];
        // Without random numbers any id will do, since only Kamailio can reply.
        let id = getrandom::fill(&mut id).map_or(1, |()| u32::from_ne_bytes(id) >> 1);
        Ok(Self { socket, own: file, peer: peer.to_owned(), id, deadline: Instant::now() + EXCHANGE_TIMEOUT })
    }

    /// Sends a request, and returns the result in its reply.
    pub(super) async fn request(&mut self, request: &Request) -> Result<Value, Error> {
        self.id = self.id.wrapping_add(1);
        let deadline = self.deadline;
        let result = timeout_at(deadline, self.request_without_timeout(request)).await;
        result.unwrap_or_else(|_| {
            let own = self.own.0.clone();
            Err(Error::Timeout { method: request.method, timeout_ms: EXCHANGE_TIMEOUT.as_millis(), own })
        })
    }

    async fn request_without_timeout(&self, request: &Request) -> Result<Value, Error> {
        self.socket.send(&request.to_bytes(self.id)).await.map_err(|error| peer_error(&self.peer, error))?;
        let mut buffer = vec![0; MAX_REPLY + 1];
        loop {
            let length = self.socket.recv(&mut buffer).await.map_err(|error| peer_error(&self.peer, error))?;
            if length > MAX_REPLY {
                return Err(request.invalid_reply(format!("it has more than {MAX_REPLY} bytes")));
            }
            if let Some(result) = request.parse_reply(self.id, buffer.get(..length).unwrap_or_default()) {
                return result;
            }
        }
    }
}

fn peer_error(path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => Error::Missing(path),
        ErrorKind::PermissionDenied => Error::Permission(path),
        // A stream socket is EPROTOTYPE. A FIFO is ECONNREFUSED, and so is a socket that no process has open.
        _ if source.raw_os_error() == Some(libc::EPROTOTYPE) => Error::NotDatagram(path),
        ErrorKind::ConnectionRefused if is_socket(&path) => Error::Ended(path),
        ErrorKind::ConnectionRefused => Error::NotDatagram(path),
        ErrorKind::ConnectionReset => Error::Ended(path),
        _ => Error::Io { path, source },
    }
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}
