//! Ctrl-C: under a [`Guard`], it unwinds every wait of the laboratory, so that everything is removed on the way out.

#![expect(unsafe_code, reason = "sigaction(2) has no safe wrapper: a handler has to be async-signal-safe")]

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::failure::OrFail as _;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The panic with which [`check`] unwinds.
#[derive(Debug)]
pub struct Interrupted;

/// While this value lives, SIGINT and SIGTERM do not kill the process but make [`check`] unwind.
///
/// Values are then dropped as usual: children are killed and reaped, temporary directories are removed.
#[derive(Debug)]
pub struct Guard {
    before: Vec<(Signal, SigAction)>,
}

impl Guard {
    /// Takes over SIGINT and SIGTERM.
    ///
    /// # Panics
    ///
    /// Panics if the kernel rejects the handler.
    #[expect(clippy::new_without_default, reason = "a constructor with an effect on the whole process is no default")]
    #[track_caller]
    pub fn new() -> Self {
        REQUESTED.store(false, Ordering::Relaxed);
        // Without SA_RESTART, so that a blocking receive returns with EINTR.
        let action = SigAction::new(SigHandler::Handler(record), SaFlags::empty(), SigSet::empty());
        let mut before = Vec::new();
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            // SAFETY: `record` is async-signal-safe: it stores to an atomic and does nothing else.
            let old = unsafe { sigaction(signal, &action) }.or_fail(format_args!("cannot handle {signal}"));
            before.push((signal, old));
        }
        Self { before }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for (signal, action) in &self.before {
            // SAFETY: restores an action that the process had before, so its handler is as valid as it was then.
            let _ = unsafe { sigaction(*signal, action) };
        }
    }
}

extern "C" fn record(_signal: nix::libc::c_int) {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// Unwinds the calling thread with [`Interrupted`] if a [`Guard`] has received a signal.
///
/// The panic hook is not called: this is not a failure.
pub fn check() {
    if is_requested() {
        resume_unwind(Box::new(Interrupted));
    }
}

/// Returns whether a [`Guard`] has received a signal.
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
