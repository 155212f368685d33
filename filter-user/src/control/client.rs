//! The client's side of the control socket, for the commands. It blocks, since a command has nothing else to do.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use crate::protocol::jsonrpc::{Call, Payload, Response};
use crate::protocol::{self, Method};

/// Time in which a reply has to arrive. The daemon may wait for a locked database and for the data plane.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum length of a reply in bytes. With 256 queues, a status has some tens of kilobytes.
const MAX_REPLY_LEN: u64 = 4 << 20;

/// A connection to a daemon.
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    next_id: u64,
}

/// A reply, as the client understands it and as it came.
#[derive(Clone, Debug)]
pub struct Received<T> {
    /// The reply, as far as this version knows its members.
    pub reply: T,
    /// The reply with all members, including those that a daemon of a later version added.
    pub json: Value,
}

/// The reason why a request to a daemon failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No daemon listens.
    #[error("no daemon listens on {}; is `sip-filter run` running, and with the same --socket?", .0.display())]
    NoDaemon(PathBuf),
    /// The user may not use the socket.
    #[error(
        "permission denied on {}: use the command as root or as a member of the group sip-filter (log in again after \
         joining the group)",
        .0.display()
    )]
    PermissionDenied(PathBuf),
    /// The connection broke, or no reply came in time.
    #[error("no reply from the daemon on {}: {source}", path.display())]
    Io {
        /// Socket.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The reply is not one of the control protocol.
    #[error("unexpected reply on {}, not that of a sip-filter daemon: {problem}", path.display())]
    Protocol {
        /// Socket.
        path: PathBuf,
        /// Description of the problem.
        problem: String,
    },
    /// The daemon rejects the request, or failed to execute it.
    #[error(transparent)]
    Rejected(#[from] protocol::Error),
}

impl Client {
    /// Connects to the daemon at `path`.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let error = |source: io::Error| match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NoDaemon(path.into()),
            ErrorKind::PermissionDenied => ClientError::PermissionDenied(path.into()),
            _ => ClientError::Io { path: path.into(), source },
        };
        let stream = UnixStream::connect(path).map_err(error)?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(error)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(error)?;
        Ok(Self { path: path.into(), stream: BufReader::new(stream), next_id: 1 })
    }

    /// Calls the method `M` and returns its reply.
    pub fn call<M: Method>(&mut self, params: &M::Params) -> Result<Received<M::Reply>, ClientError> {
        let json = self.call_raw(M::NAME, params)?;
        let reply = serde_json::from_value(json.clone()).map_err(|error| self.protocol_error(error))?;
        Ok(Received { reply, json })
    }

    fn call_raw(&mut self, method: &str, params: impl serde::Serialize) -> Result<Value, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut request =
            serde_json::to_vec(&Call::new(id, method, params)).map_err(|error| self.protocol_error(error))?;
        request.push(b'\n');
        let line = self.exchange(&request).map_err(|source| ClientError::Io { path: self.path.clone(), source })?;
        let response: Response = serde_json::from_slice(&line).map_err(|error| self.protocol_error(error))?;
        match response.payload {
            Payload::Error(error) => Err(error.into()),
            Payload::Result(result) if response.id == id.into() => Ok(result),
            Payload::Result(_) => Err(self.protocol_error("it replies to another request")),
        }
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        // A daemon with too many clients replies and closes before it reads anything: that reply explains the error.
        let sent = self.stream.get_mut().write_all(request);
        let mut line = Vec::new();
        (&mut self.stream).take(MAX_REPLY_LEN).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            sent?;
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    fn protocol_error(&self, problem: impl ToString) -> ClientError {
        ClientError::Protocol { path: self.path.clone(), problem: problem.to_string() }
    }
}
