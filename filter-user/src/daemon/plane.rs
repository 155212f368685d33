//! The data plane, as the asynchronous parts of the daemon use it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::dataplane::{DataPlane, Error, Options, PlaneStatus};
use crate::domain::{Policy, Raised};
use crate::network::Changes;
use crate::sync::Enforcer;

/// Interval of the ticks: the longest time for which a failure goes unnoticed.
const TICK: Duration = Duration::from_secs(1);

/// Time limit for stopping the data plane. The ports of a bond are detached one at a time, each of which may lose its
/// carrier for some seconds. A responder sleeps for at most a quarter of its lease, which is at most 10 s long.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// The calls of the data plane, all of which block. A trait, so that tests of the parts around it need no kernel.
pub(super) trait Backend: Send + Sync {
    /// See [`DataPlane::apply`].
    fn apply(&self, policy: &Arc<Policy>) -> Result<(), Error>;

    /// See [`DataPlane::status`].
    fn status(&self) -> Result<PlaneStatus, Error>;

    /// See [`DataPlane::alarms`].
    fn alarms(&self) -> Vec<Raised>;

    /// See [`DataPlane::tick`].
    fn tick(&self) -> Result<(), Error>;

    /// See [`DataPlane::stop`].
    fn stop(&self) -> Result<(), Error>;
}

impl Backend for DataPlane {
    fn apply(&self, policy: &Arc<Policy>) -> Result<(), Error> {
        Self::apply(self, policy)
    }

    fn status(&self) -> Result<PlaneStatus, Error> {
        Self::status(self)
    }

    fn alarms(&self) -> Vec<Raised> {
        Self::alarms(self)
    }

    fn tick(&self) -> Result<(), Error> {
        Self::tick(self)
    }

    fn stop(&self) -> Result<(), Error> {
        Self::stop(self)
    }
}

/// A handle to the data plane.
///
/// Each call runs on one of tokio's threads for blocking work. Calls wait for each other only where the data plane
/// itself orders them.
#[derive(Clone)]
pub(super) struct Plane(Arc<dyn Backend>);

impl Plane {
    /// Starts the data plane. When this returns, it is attached and `policy` is in force.
    pub(super) async fn start(options: Options, policy: Arc<Policy>) -> Result<Self, Error> {
        let plane = run_blocking(move || DataPlane::start(&options, &policy)).await?;
        Ok(Self::from_backend(plane))
    }

    /// Creates a handle to a data plane that accepts every policy until it is stopped.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self::from_backend(super::fake_plane::FakePlane::default())
    }

    /// Creates a handle to `backend`.
    pub(super) fn from_backend(backend: impl Backend + 'static) -> Self {
        Self(Arc::new(backend))
    }

    /// Returns the state of the data plane; an empty one once it has stopped.
    pub(super) async fn status(&self) -> Result<PlaneStatus, Error> {
        self.call(|plane| plane.status()).await
    }

    /// Returns the alarms of the data plane that are raised.
    pub(super) async fn alarms(&self) -> Vec<Raised> {
        self.call(|plane| plane.alarms()).await
    }

    /// Ticks once a second, and when the network changes, until `stop` is cancelled, or until the data plane has
    /// failed.
    ///
    /// Publishes the alarms after each tick. Runs in a task of its own, so that nothing else the daemon does can delay
    /// a tick or drop what it has found.
    pub(super) async fn watch(self, publish: watch::Sender<Vec<Raised>>, stop: CancellationToken) -> Result<(), Error> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = Changes::subscribe();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
                () = changes.next() => {}
            }
            let alarms = self.call(|plane| plane.tick().map(|()| plane.alarms())).await?;
            publish.send_if_modified(|published| {
                let has_changed = *published != alarms;
                *published = alarms;
                has_changed
            });
        }
    }

    /// Detaches the program, and ends the threads of the data plane.
    ///
    /// # Errors
    ///
    /// [`Error::StopTimeout`] if this takes too long. Stopping then continues until the process ends.
    pub(super) async fn stop(&self) -> Result<(), Error> {
        let stopped = timeout(STOP_TIMEOUT, self.call(|plane| plane.stop())).await;
        stopped.unwrap_or(Err(Error::StopTimeout { timeout: STOP_TIMEOUT }))
    }

    async fn call<T: Send + 'static>(&self, call: impl FnOnce(&dyn Backend) -> T + Send + 'static) -> T {
        let plane = Arc::clone(&self.0);
        run_blocking(move || call(&*plane)).await
    }
}

impl Enforcer for Plane {
    async fn apply(&mut self, policy: Arc<Policy>) -> Result<(), Error> {
        self.call(move |plane| plane.apply(&policy)).await
    }
}

/// Runs `work` on a thread for blocking work. If it panics, so does the caller.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(value) => value,
        // The task is never cancelled, so it panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
