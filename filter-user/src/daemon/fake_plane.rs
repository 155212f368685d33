//! A data plane without a kernel, for tests of the parts around it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::plane::Backend;
use crate::dataplane::{Error, PlaneStatus};
use crate::domain::Policy;

/// Records the policies, and fails when a test wants it to. Clones are handles to the same fake.
#[derive(Clone, Default)]
pub(super) struct FakePlane(Arc<State>);

#[derive(Default)]
struct State {
    policies: Mutex<Vec<Arc<Policy>>>,
    has_failed: AtomicBool,
    panics: AtomicBool,
    is_stopped: AtomicBool,
}

impl FakePlane {
    /// Returns the policies that were applied.
    pub(super) fn policies(&self) -> Vec<Arc<Policy>> {
        self.0.policies.lock().unwrap().clone()
    }

    /// From now on, each tick finds that the responder of queue 3 has ended.
    pub(super) fn fail(&self) {
        self.0.has_failed.store(true, Ordering::Relaxed);
    }

    /// The next call for the status panics.
    pub(super) fn panic_at_next_status(&self) {
        self.0.panics.store(true, Ordering::Relaxed);
    }
}

impl Backend for FakePlane {
    fn apply(&self, policy: &Arc<Policy>) -> Result<(), Error> {
        if self.0.is_stopped.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        self.0.policies.lock().unwrap().push(policy.clone());
        Ok(())
    }

    fn status(&self) -> Result<PlaneStatus, Error> {
        assert!(!self.0.panics.swap(false, Ordering::Relaxed), "as the test wants it");
        Ok(PlaneStatus::default())
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
