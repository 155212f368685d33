//! Errors of the keeper.

use std::sync::Arc;

use thiserror::Error;

use crate::{dataplane, store};

/// The reason why a command failed, as a whole or in part.
#[derive(Debug, Error)]
pub enum Error {
    /// The database rejects what was asked for. Nothing has changed.
    #[error("{0}")]
    Rejected(#[source] store::Error),
    /// The database could not be written. Nothing has changed.
    #[error("the database could not be written, nothing has changed: {0}")]
    NotWritten(#[source] store::Error),
    /// The database could not be read.
    #[error("the database could not be read, so the last known policy stays in force: {0}")]
    NotRead(#[source] store::Error),
    /// The database was written, and then could not be read.
    #[error(
        "the change is written, but the database could not be read back, so the last known policy stays in force until \
         it can be: {0}"
    )]
    NotReadBack(#[source] store::Error),
    /// The policy that was read from the database is not in force. The daemon ends.
    #[error(
        "the policy could not be put in force on this host, the daemon ends (other hosts follow the database): {0}"
    )]
    NotInForce(#[from] NotInForce),
    /// The keeper ends, or has ended, without a reply to the command.
    #[error("the daemon is ending")]
    Ending,
}

/// The data plane did not accept a policy. This ends the keeper, and with it the daemon. All other errors leave the
/// last known policy in force.
#[derive(Clone, Debug, Error)]
#[error(transparent)]
pub struct NotInForce(Arc<dataplane::Error>);

impl NotInForce {
    /// Returns whether the data plane was stopped: the daemon is ending, and has already detached.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(*self.0, dataplane::Error::Stopped)
    }
}

impl From<dataplane::Error> for NotInForce {
    fn from(error: dataplane::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// The reason why a daemon cannot start, which an operator has to fix.
#[derive(Debug, Error)]
pub enum StartError {
    /// The schema of the database is of another version.
    #[error("database {database}: {source}")]
    Schema {
        /// URL of the database, without password.
        database: String,
        /// Error about its schema.
        source: store::Error,
    },
    /// The system provides no random numbers.
    #[error("cannot generate a To tag: {0}")]
    Random(#[from] getrandom::Error),
}
