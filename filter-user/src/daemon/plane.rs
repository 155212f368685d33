//! The data plane, as the asynchronous part of the daemon sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::dataplane::{DataPlane, Error, Options, PlaneStatus};
use crate::domain::Policy;
use crate::sync::Enforcer;

/// How often the data plane is asked whether it has failed.
const LOOK: Duration = Duration::from_secs(1);

/// A handle to the data plane. Its calls block (system calls into the kernel, threads to wait for), so each runs on
/// tokio's threads for that; one at a time.
#[derive(Clone)]
pub(super) struct Plane(Arc<Mutex<Option<DataPlane>>>);

impl Plane {
    /// None: a daemon without a data plane, for tests of all that is about it.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(Arc::default())
    }

    /// Starts it: when this returns, it is attached and `policy` in force.
    pub(super) async fn start(options: Options, policy: Policy) -> Result<Self, Error> {
        let plane = blocking(move || DataPlane::start(&options, &policy)).await?;
        Ok(Self(Arc::new(Mutex::new(Some(plane)))))
    }

    /// Returns the state of the data plane; an empty one once it has stopped.
    pub(super) async fn status(&self) -> Result<PlaneStatus, Error> {
        self.with(|plane| plane.as_ref().map_or_else(|| Ok(PlaneStatus::default()), DataPlane::status)).await
    }

    /// Returns when the data plane has failed.
    pub(super) async fn failure(&self) -> Error {
        loop {
            sleep(LOOK).await;
            if let Some(error) = self.with(|plane| plane.as_mut().and_then(DataPlane::failure)).await {
                return error;
            }
        }
    }

    /// Detaches it and ends its threads.
    pub(super) async fn stop(&self) -> Result<(), Error> {
        self.with(|plane| plane.take().map_or(Ok(()), DataPlane::stop)).await
    }

    async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Option<DataPlane>) -> T + Send + 'static) -> T {
        let plane = self.0.clone();
        blocking(move || work(&mut lock(&plane))).await
    }
}

impl Enforcer for Plane {
    async fn apply(&mut self, policy: Policy) -> Result<(), Error> {
        self.with(move |plane| plane.as_mut().map_or(Ok(()), |plane| plane.apply(&policy))).await
    }
}

/// A lock that a panic has left behind is no reason to panic too: the daemon still has to detach.
fn lock(plane: &Mutex<Option<DataPlane>>) -> MutexGuard<'_, Option<DataPlane>> {
    plane.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(value) => value,
        // It is not cancelled by anybody, so it panicked: that goes on where it would have gone without a thread.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
