//! Errors of the communication with Kamailio, each with its fix.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The reason why Kamailio's flag cannot be set or read.
#[derive(Debug, Error)]
pub enum Error {
    /// The socket does not exist.
    #[error(
        "there is no socket {}: Kamailio does not run, or its script does not have loadmodule \"jsonrpcs.so\" and \
         modparam(\"jsonrpcs\", \"dgram_socket\", \"{}\")", .0.display(), .0.display()
    )]
    Missing(PathBuf),
    /// No process has the socket open.
    #[error("no process listens on {}: Kamailio has ended", .0.display())]
    Ended(PathBuf),
    /// The daemon may not write to the socket.
    #[error(
        "no permission to write to {}: give the daemon Kamailio's group (systemd: SupplementaryGroups=kamailio)", .0.display()
    )]
    Permission(PathBuf),
    /// The path is not a datagram socket.
    #[error("{} is not the datagram socket of Kamailio's jsonrpcs (not a FIFO, not a stream socket)", .0.display())]
    NotDatagram(PathBuf),
    /// Our own socket cannot be set up.
    #[error("cannot {doing} the socket {} for Kamailio's replies: {source}", path.display())]
    Own {
        /// The step that failed.
        doing: &'static str,
        /// Path of our socket.
        path: PathBuf,
        /// Error of the system call.
        source: io::Error,
    },
    /// The exchange of datagrams failed.
    #[error("cannot talk to Kamailio at {}: {source}", path.display())]
    Io {
        /// Path of Kamailio's socket.
        path: PathBuf,
        /// Error of the system call.
        source: io::Error,
    },
    /// Kamailio did not reply in time.
    #[error(
        "no reply from Kamailio to {method} within {timeout_ms} ms: it is busy or hung, or its user cannot write to \
         our socket {}", own.display()
    )]
    Timeout {
        /// Method of the request.
        method: &'static str,
        /// Time that the reply had, in milliseconds.
        timeout_ms: u128,
        /// Path of our socket, to which the reply goes.
        own: PathBuf,
    },
    /// The reply is not one of `jsonrpcs`.
    #[error("the reply to {method} at Kamailio's socket is not one of jsonrpcs: {problem}")]
    InvalidReply {
        /// Method of the request.
        method: &'static str,
        /// Problem of the reply.
        problem: String,
    },
    /// The module of the method is not loaded.
    #[error("Kamailio does not know {0}: its script needs loadmodule \"htable.so\"")]
    NoMethod(&'static str),
    /// The htable is not defined.
    #[error(
        "Kamailio has no htable {0}: its script needs modparam(\"htable\", \"htable\", \"{0}=>size=3;…\"), or \
         --kamailio-htable has to name another htable"
    )]
    NoHtable(String),
    /// Kamailio rejected the request otherwise.
    #[error("Kamailio rejects {method}: {message}")]
    Rejected {
        /// Method of the request.
        method: &'static str,
        /// Kamailio's message.
        message: String,
    },
}
