//! The errors with which the daemon ends, or fails to start.

use std::io;

use thiserror::Error as ThisError;

use super::supervisor::UnexpectedEnd;
use crate::control::SocketError;
use crate::dataplane;
use crate::metrics::BindError;
use crate::sync::{NotInForce, StartError};

/// The reason why the daemon ends, or fails to start.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The signal handlers cannot be installed.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
    /// The control socket cannot be claimed or opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The control socket cannot be served.
    #[error("cannot serve the control socket: {0}")]
    Serve(#[source] io::Error),
    /// The address for the metrics cannot be used.
    #[error(transparent)]
    Metrics(#[from] BindError),
    /// The policy to start with cannot be determined.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The data plane cannot be started, or has failed.
    #[error(transparent)]
    DataPlane(#[from] dataplane::Error),
    /// A policy could not be put in force.
    #[error(transparent)]
    NotInForce(#[from] NotInForce),
    /// An essential part has ended without having been cancelled.
    #[error("the {part} ended unexpectedly: {end}")]
    Part {
        /// Name of the part.
        part: &'static str,
        /// Kind of end.
        end: UnexpectedEnd,
    },
}
