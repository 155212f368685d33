//! Why Kamailio cannot be told, and what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why Kamailio cannot be told, or asked.
#[derive(Debug, Error)]
pub enum Error {
    /// No such socket.
    #[error(
        "there is no socket {}: Kamailio does not run, or its script does not have loadmodule \"jsonrpcs.so\" and modparam(\"jsonrpcs\", \"dgram_socket\", \"{}\")", .0.display(), .0.display()
    )]
    Missing(PathBuf),
    /// A socket that nobody has open.
    #[error("nobody listens on {}: Kamailio has ended", .0.display())]
    Ended(PathBuf),
    /// We may not.
    #[error(
        "no permission to write to {}: give the daemon Kamailio's group (systemd: SupplementaryGroups=kamailio)", .0.display()
    )]
    Permission(PathBuf),
    /// It is there and is no datagram socket.
    #[error("{} is not the datagram socket of Kamailio's jsonrpcs (not a FIFO, not a stream socket)", .0.display())]
    NotDatagram(PathBuf),
    /// Our own socket.
    #[error("cannot {doing} the socket {} for Kamailio's answers: {source}", path.display())]
    Own {
        /// What was tried.
        doing: &'static str,
        /// Our socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The exchange itself.
    #[error("cannot talk to Kamailio at {}: {source}", path.display())]
    Io {
        /// Kamailio's socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Silence.
    #[error(
        "no answer from Kamailio to {method} within {within_ms} ms: it is busy or hung, or its user cannot write to our socket {}", own.display()
    )]
    NoAnswer {
        /// What was asked.
        method: &'static str,
        /// How long we waited.
        within_ms: u128,
        /// Where the answer was to come.
        own: PathBuf,
    },
    /// Something else speaks there.
    #[error("what answered {method} at Kamailio's socket does not speak as jsonrpcs does: {problem}")]
    Nonsense {
        /// What was asked.
        method: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
    /// The module is not loaded.
    #[error("Kamailio knows no {0}: its script has to have loadmodule \"htable.so\"")]
    NoMethod(&'static str),
    /// The table is not defined.
    #[error(
        "Kamailio has no htable {0}: its script has to have modparam(\"htable\", \"htable\", \"{0}=>size=3;…\"), or --kamailio-htable another name"
    )]
    NoHtable(String),
    /// Any other refusal.
    #[error("Kamailio refuses {method}: {message}")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// What it says.
        message: String,
    },
}
