//! Ctrl-C: whoever waits in the laboratory stops at once, so that everything is taken down on the way out.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// While this value lives, SIGINT and SIGTERM do not kill the process but make [`check`] fail.
///
/// Values are dropped in the usual way then: children are killed and reaped, temporary directories removed.
#[derive(Debug)]
pub struct Guard {
    before: Vec<(Signal, SigAction)>,
}

impl Guard {
    /// Takes over SIGINT and SIGTERM.
    pub fn new() -> Result<Self> {
        REQUESTED.store(false, Ordering::Relaxed);
        // Without SA_RESTART, so that a blocking receive returns with EINTR.
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
        let mut before = Vec::new();
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            // SAFETY: `note` is async-signal-safe: it stores to an atomic and does nothing else.
            let old = unsafe { sigaction(signal, &action) }.with_context(|| format!("handle {signal}"))?;
            before.push((signal, old));
        }
        Ok(Self { before })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for (signal, action) in &self.before {
            // SAFETY: puts back an action that the process had before, so its handler is as valid as it was then.
            let _ = unsafe { sigaction(*signal, action) };
        }
    }
}

extern "C" fn note(_signal: nix::libc::c_int) {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// An error once the process has been asked to stop.
pub fn check() -> Result<()> {
    if REQUESTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}
