//! The client's side: what the commands use. Blocking, for a command has nothing else to do.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::rpc::RpcError;

/// How long a daemon may take: it waits for a locked database and for the data plane.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest answer in bytes: with 256 queues a status has some tens of kilobytes.
const MAX_ANSWER: u64 = 4 << 20;

/// A connection to a daemon.
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    next: u64,
}

/// Why a daemon did not do it.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon listens on {}; is `sip-filter run` running, and with the same --socket?", .0.display())]
    NoDaemon(PathBuf),
    /// Not allowed.
    #[error("not allowed to use {}: be root, or a member of the group sip-filter (a new member has to log in anew)", .0.display())]
    NotAllowed(PathBuf),
    /// The connection broke.
    #[error("the daemon on {} does not answer: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It answers, but not as it should.
    #[error("what listens on {} answers not as a sip-filter daemon: {problem}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It refuses.
    #[error(transparent)]
    Refused(#[from] RpcError),
}

#[derive(Deserialize)]
struct Answer {
    id: Option<u64>,
    result: Option<Value>,
    error: Option<RpcError>,
}

impl Client {
    /// Connects to the daemon at `path`.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let io = |source: io::Error| match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NoDaemon(path.into()),
            ErrorKind::PermissionDenied => ClientError::NotAllowed(path.into()),
            _ => ClientError::Io { path: path.into(), source },
        };
        let stream = UnixStream::connect(path).map_err(io)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(io)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(io)?;
        Ok(Self { path: path.into(), stream: BufReader::new(stream), next: 1 })
    }

    /// Calls a method and returns its result.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        let id = self.next;
        self.next += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let line = self.exchange(&format!("{request}\n")).map_err(|source| self.io(source))?;
        let answer: Answer = serde_json::from_slice(&line).map_err(|error| self.protocol(error.to_string()))?;
        match answer {
            Answer { error: Some(error), .. } => Err(error.into()),
            Answer { id: Some(answered), result: Some(result), .. } if answered == id => Ok(result),
            _ => Err(self.protocol("neither result nor error, or of another request".into())),
        }
    }

    fn exchange(&mut self, request: &str) -> io::Result<Vec<u8>> {
        // A daemon that turns us away has answered and closed before it has read anything.
        let sent = self.stream.get_mut().write_all(request.as_bytes());
        let mut line = Vec::new();
        (&mut self.stream).take(MAX_ANSWER).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            sent?;
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    fn io(&self, source: io::Error) -> ClientError {
        ClientError::Io { path: self.path.clone(), source }
    }

    fn protocol(&self, problem: String) -> ClientError {
        ClientError::Protocol { path: self.path.clone(), problem }
    }
}
