//! Signals that the daemon handles.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Error;

/// The handlers of the signals.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// A request that a signal makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// End the daemon; with the name of the signal.
    Stop(&'static str),
    /// Read the database.
    Reload,
}

impl Signals {
    /// Installs the handlers.
    pub(super) fn install() -> Result<Self, Error> {
        let handler = |kind| signal(kind).map_err(Error::Signals);
        Ok(Self {
            terminate: handler(SignalKind::terminate())?,
            interrupt: handler(SignalKind::interrupt())?,
            hang_up: handler(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Request::Stop("SIGINT"),
            _ = self.hang_up.recv() => Request::Reload,
        }
    }
}
