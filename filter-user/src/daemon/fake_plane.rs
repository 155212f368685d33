//! A data plane without a kernel, for tests of the parts around it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::plane::Backend;
use crate::dataplane::{Error, PlaneStatus};
use crate::domain::{Policy, Raised};

/// A data plane that records the policies, and fails on request. Clones are handles to the same one.
#[derive(Clone, Default)]
pub(super) struct FakePlane(Arc<State>);

#[derive(Default)]
struct State {
    policies: Mutex<Vec<Arc<Policy>>>,
    has_failed: AtomicBool,
    panics: AtomicBool,
    /// Locked while calls for the status have to hang.
    status: Mutex<()>,
    is_stopped: AtomicBool,
}

impl FakePlane {
    /// Returns the policies that were applied.
    pub(super) fn policies(&self) -> Vec<Arc<Policy>> {
        self.0.policies.lock().unwrap().clone()
    }

    /// Makes each tick from now on report that the responder of queue 3 has stopped.
    pub(super) fn fail(&self) {
        self.0.has_failed.store(true, Ordering::Relaxed);
    }

    /// Makes calls for the status hang while the guard lives.
    pub(super) fn hang_status(&self) -> MutexGuard<'_, ()> {
        self.0.status.lock().unwrap()
    }

    /// Makes the next call for the status panic.
    pub(super) fn panic_at_next_status(&self) {
        self.0.panics.store(true, Ordering::Relaxed);
    }
}

impl Backend for FakePlane {
    fn apply(&self, policy: &Arc<Policy>) -> Result<(), Error> {
        if self.0.is_stopped.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        self.0.policies.lock().unwrap().push(Arc::clone(policy));
        Ok(())
    }

    fn status(&self) -> Result<PlaneStatus, Error> {
        assert!(!self.0.panics.swap(false, Ordering::Relaxed), "the test has asked for this panic");
        drop(self.0.status.lock().unwrap());
        Ok(PlaneStatus::default())
    }

    fn alarms(&self) -> Vec<Raised> {
        Vec::new()
    }

    fn tick(&self) -> Result<(), Error> {
        if self.0.has_failed.load(Ordering::Relaxed) {
            let (interface, reason) = ("eth0".into(), "it panicked".into());
            return Err(Error::ResponderStopped { interface, queue: 3, reason });
        }
        Ok(())
    }

    fn stop(&self) -> Result<(), Error> {
        self.0.is_stopped.store(true, Ordering::Relaxed);
        Ok(())
    }
}
