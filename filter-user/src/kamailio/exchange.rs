//! Datagrams to Kamailio and back.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::net::UnixDatagram;
use tokio::time::{Instant, timeout_at};

use super::Error;
use super::message::Request;

/// How long all that is said at one time may take. An answer is there in less than a millisecond; a switch of
/// maintenance waits for this.
pub(super) const WITHIN: Duration = Duration::from_millis(250);

/// An answer is a few hundred bytes, of which the list of the htables is the longest.
const LONGEST: usize = 64 * 1024;

/// A socket of our own that is connected to Kamailio's. It is made for a few requests: so it does not matter whether
/// Kamailio or somebody who cleans up directories has been at work since the last time.
pub(super) struct Exchange {
    socket: UnixDatagram,
    own: Own,
    peer: PathBuf,
    id: u32,
    deadline: Instant,
}

/// The file of our socket; gone when it is dropped.
struct Own(PathBuf);

impl Drop for Own {
    fn drop(&mut self) {
        // If that fails, the next one that is made there does it or says why not.
        let _ = fs::remove_file(&self.0);
    }
}

impl Exchange {
    /// Opens our socket at `own` and connects it to Kamailio's at `peer`.
    ///
    /// Kamailio answers to the path that we are bound to, and runs as another user, so anybody may write to that. But
    /// the kernel lets only the peer write to a connected datagram socket (`unix_may_send` in net/unix/af_unix.c): it
    /// is connected first, then opened to others.
    pub(super) fn open(own: &Path, peer: &Path) -> Result<Self, Error> {
        let failed = |doing| move |source| Error::Own { doing, path: own.to_owned(), source };
        // One that a killed daemon left behind. The control socket's lock keeps other daemons away.
        match fs::remove_file(own) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove")(error)),
            _ => {}
        }
        let socket = UnixDatagram::bind(own).map_err(failed("make"))?;
        let file = Own(own.to_owned());
        socket.connect(peer).map_err(|error| of_peer(peer, error))?;
        fs::set_permissions(own, Permissions::from_mode(0o666)).map_err(failed("set the mode of"))?;
        let mut id = [0; 4];
        // Without random numbers any will do: only Kamailio can answer.
        let id = getrandom::fill(&mut id).map_or(1, |()| u32::from_ne_bytes(id) >> 1);
        Ok(Self { socket, own: file, peer: peer.to_owned(), id, deadline: Instant::now() + WITHIN })
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Value, Error> {
        self.id = self.id.wrapping_add(1);
        let deadline = self.deadline;
        let answer = timeout_at(deadline, self.ask_patiently(request)).await;
        answer.unwrap_or_else(|_| {
            let own = self.own.0.clone();
            Err(Error::NoAnswer { method: request.method, within_ms: WITHIN.as_millis(), own })
        })
    }

    async fn ask_patiently(&self, request: &Request) -> Result<Value, Error> {
        self.socket.send(&request.to_bytes(self.id)).await.map_err(|error| of_peer(&self.peer, error))?;
        let mut buffer = vec![0; LONGEST + 1];
        loop {
            let length = self.socket.recv(&mut buffer).await.map_err(|error| of_peer(&self.peer, error))?;
            if length > LONGEST {
                return Err(request.nonsense(format!("an answer of more than {LONGEST} bytes")));
            }
            if let Some(result) = request.result(self.id, &buffer[..length]) {
                return result;
            }
        }
    }
}

fn of_peer(path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => Error::Missing(path),
        ErrorKind::PermissionDenied => Error::Permission(path),
        // A stream socket is EPROTOTYPE; a FIFO is ECONNREFUSED, as a socket that nobody has open is.
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
