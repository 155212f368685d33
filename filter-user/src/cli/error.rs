//! How a command ends: its outcome or its error, the exit status of each, and messages on standard error.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

use filter_user::control::ClientError;
use filter_user::domain::{InvalidEntry, InvalidHosts};
use filter_user::protocol::Code;
use filter_user::{config, daemon};

/// The outcome of a command that printed its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done, and all is well.
    Done,
    /// Something works, but is degraded.
    Degraded,
    /// The printed result says what failed.
    Failed,
}

/// The reason why a command has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Wrong usage: the same command can never succeed.
    #[error("{0}")]
    Usage(Box<dyn StdError + Send + Sync>),
    /// The command failed.
    #[error("{0}")]
    Failed(Box<dyn StdError + Send + Sync>),
    /// The result could not be printed.
    #[error("cannot write to standard output: {0}")]
    Print(io::Error),
}

impl Error {
    pub(super) fn usage(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Usage(error.into())
    }

    pub(super) fn failed(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

/// Returns the exit status of a command, after printing its error if there is one.
pub(super) fn exit_status(result: &Result<Outcome, Error>) -> u8 {
    if let Err(error) = result
        && !is_closed_pipe(error)
    {
        print_error(error);
    }
    match result {
        Ok(Outcome::Done) => 0,
        Err(error) if is_closed_pipe(error) => 0,
        Ok(Outcome::Failed) | Err(Error::Failed(_) | Error::Print(_)) => 1,
        Err(Error::Usage(_)) => 2,
        Ok(Outcome::Degraded) => 3,
    }
}

/// Prints an error or a warning to standard error, with the name of the program.
///
/// Does not panic if standard error is closed, as `eprintln!` does.
pub(super) fn print_error(message: impl Display) {
    let _ = writeln!(io::stderr(), "sip-filter: {message}");
}

/// Returns whether the reader of standard output needs no more of it, as in `sip-filter stats | head`.
fn is_closed_pipe(error: &Error) -> bool {
    matches!(error, Error::Print(error) if error.kind() == ErrorKind::BrokenPipe)
}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        Self::usage(error)
    }
}

impl From<InvalidEntry> for Error {
    fn from(error: InvalidEntry) -> Self {
        Self::usage(error)
    }
}

impl From<InvalidHosts> for Error {
    fn from(error: InvalidHosts) -> Self {
        Self::usage(error)
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Rejected(rejection) if rejection.code == Code::INVALID_PARAMS => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl From<daemon::Error> for Error {
    fn from(error: daemon::Error) -> Self {
        Self::failed(error)
    }
}
