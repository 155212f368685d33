//! The supervisor: owns the tasks of the daemon, notices the end of each, and stops all of them by a deadline.

use std::collections::HashMap;
use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use thiserror::Error as ThisError;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Error;
use crate::backoff::Backoff;
use crate::panic;

/// Time for which a part has to run before the delay of its next restart is the shortest again.
const STABLE: Duration = Duration::from_mins(1);

/// The parts of the daemon: named tasks, which run until the [token](Self::token) is cancelled.
///
/// A part that ends before that, by a panic or otherwise, is noticed by [`failure`](Self::failure). This has one of two
/// consequences:
///
/// * With an **essential** part the daemon ends: it detaches, and its error names the part. Without such a part
///   maintenance could not be switched any more, or a failure of the packet path would go unnoticed.
/// * A **restartable** part is started again after a delay, and an error is logged. Calls are refused without it, too.
///   Detaching would hand every new call to the proxy, and interrupt the link of some NICs.
///
/// Dropping the supervisor aborts the parts.
#[derive(Default)]
pub(super) struct Supervisor {
    token: CancellationToken,
    tasks: JoinSet<Outcome>,
    parts: HashMap<Id, Part>,
}

type Outcome = Result<(), Error>;

struct Part {
    name: &'static str,
    task: AbortHandle,
    /// `None` for an essential part.
    restart: Option<Restart>,
}

struct Restart {
    start: Box<dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send>,
    started: Instant,
    backoff: Backoff,
}

/// The end of a part that had not been cancelled.
#[derive(Debug, PartialEq, Eq, ThisError)]
pub enum UnexpectedEnd {
    /// It returned.
    #[error("it returned")]
    Returned,
    /// It panicked, with this message.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// It was aborted.
    #[error("it was aborted")]
    Aborted,
}

impl Supervisor {
    /// Returns the token that tells the parts to end.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a part without which the daemon ends.
    pub(super) fn start_essential(&mut self, name: &'static str, part: impl Future<Output = Outcome> + Send + 'static) {
        let task = self.tasks.spawn(part);
        self.parts.insert(task.id(), Part { name, task, restart: None });
    }

    /// Starts a part that `start` creates, and creates again when it has ended.
    pub(super) fn start_restartable<F>(&mut self, name: &'static str, start: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let task = self.tasks.spawn(start());
        let restart = Restart {
            start: Box::new(move || Box::pin(start())),
            started: Instant::now(),
            backoff: Backoff::default(),
        };
        self.parts.insert(task.id(), Part { name, task, restart: Some(restart) });
    }

    /// Waits until an essential part ends, and returns the reason. Restarts the others meanwhile.
    ///
    /// Nothing is lost if the future is dropped.
    pub(super) async fn failure(&mut self) -> Error {
        while let Some((part, error)) = self.next_end().await {
            match part.restart {
                None => return error,
                Some(restart) => self.restart(part.name, restart, &error),
            }
        }
        // Without a part, none can fail.
        pending().await
    }

    /// Cancels all parts, and waits until they have ended. Those that have not within `timeout` are aborted.
    pub(super) async fn shut_down(mut self, timeout: Duration) {
        self.token.cancel();
        let deadline = Instant::now() + timeout;
        while let Ok(Some((part, error))) = timeout_at(deadline, self.next_end()).await {
            if !matches!(error, Error::Part { end: UnexpectedEnd::Returned, .. }) {
                warn!("the {} failed while the daemon was stopping: {error}", part.name);
            }
        }
        for part in self.parts.values() {
            warn!("the {} has not ended within {timeout:?}, and is aborted", part.name);
            part.task.abort();
        }
    }

    /// Waits until a part ends; `None` without parts. Nothing is lost if the future is dropped.
    async fn next_end(&mut self) -> Option<(Part, Error)> {
        loop {
            let (id, outcome) = match self.tasks.join_next_with_id().await? {
                Ok((id, Ok(()))) => (id, Err(UnexpectedEnd::Returned)),
                Ok((id, Err(error))) => (id, Ok(error)),
                Err(error) => (error.id(), Err(error.into())),
            };
            if let Some(part) = self.parts.remove(&id) {
                let error = outcome.unwrap_or_else(|end| Error::Part { part: part.name, end });
                return Some((part, error));
            }
        }
    }

    fn restart(&mut self, name: &'static str, mut restart: Restart, error: &Error) {
        if restart.started.elapsed() >= STABLE {
            restart.backoff.reset();
        }
        let delay = restart.backoff.next_delay();
        error!("{error}; the {name} is restarted in {} ms", delay.as_millis());
        let (part, token) = ((restart.start)(), self.token());
        let task = self.tasks.spawn(async move {
            match token.run_until_cancelled(sleep(delay)).await {
                Some(()) => part.await,
                None => Ok(()),
            }
        });
        restart.started = Instant::now() + delay;
        self.parts.insert(task.id(), Part { name, task, restart: Some(restart) });
    }

    /// Aborts the part `name`, to simulate its death.
    #[cfg(test)]
    #[track_caller]
    pub(super) fn kill(&self, name: &str) {
        let part = self.parts.values().find(|part| part.name == name);
        part.unwrap_or_else(|| panic!("there is no {name}")).task.abort();
    }
}

impl From<JoinError> for UnexpectedEnd {
    fn from(error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(panic) => Self::Panicked(panic::message(&*panic).to_owned()),
            Err(_) => Self::Aborted,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::{Instant, timeout};
    use tokio_util::sync::CancellationToken;

    use super::{Error, Supervisor, UnexpectedEnd};
    use crate::dataplane;

    /// Far longer than anything here takes.
    const TIMEOUT: Duration = Duration::from_secs(20);

    async fn failure(supervisor: &mut Supervisor) -> Error {
        timeout(TIMEOUT, supervisor.failure()).await.expect("an essential part has ended")
    }

    async fn until_cancelled(token: CancellationToken) -> Result<(), Error> {
        token.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn essential_part_that_panics_is_named_with_its_message() {
        let mut supervisor = Supervisor::default();
        supervisor.start_essential("control server", until_cancelled(supervisor.token()));
        supervisor.start_essential("keeper", async { panic!("no {}", "row") });
        let error = failure(&mut supervisor).await;
        assert_eq!(error.to_string(), "the keeper ended unexpectedly: it panicked: no row");
    }

    #[tokio::test]
    async fn essential_part_that_returns_is_named() {
        let mut supervisor = Supervisor::default();
        supervisor.start_essential("keeper", until_cancelled(supervisor.token()));
        supervisor.start_essential("control server", async { Ok(()) });
        let error = failure(&mut supervisor).await;
        assert!(matches!(error, Error::Part { part: "control server", end: UnexpectedEnd::Returned }), "{error}");
    }

    #[tokio::test]
    async fn essential_part_that_fails_ends_the_daemon_with_its_own_error() {
        let mut supervisor = Supervisor::default();
        supervisor.start_essential("data plane watch", async {
            Err(dataplane::Error::NoInterface { interface: "eth7".into() }.into())
        });
        assert!(failure(&mut supervisor).await.to_string().contains("eth7"));
    }

    #[tokio::test]
    async fn restartable_part_that_panics_or_returns_is_started_again() {
        let mut supervisor = Supervisor::default();
        let starts = Arc::new(AtomicU32::new(0));
        let (running, is_running) = oneshot::channel();
        let running = Arc::new(std::sync::Mutex::new(Some(running)));
        supervisor.start_restartable("metrics server", move || {
            let (start, running) = (starts.fetch_add(1, Ordering::Relaxed), Arc::clone(&running));
            async move {
                match start {
                    0 => panic!("first"),
                    1 => Ok(()),
                    _ => {
                        running.lock().unwrap().take().unwrap().send(()).unwrap();
                        pending().await
                    }
                }
            }
        });
        tokio::select! {
            error = supervisor.failure() => panic!("{error}"),
            started = timeout(TIMEOUT, is_running) => started.expect("the part is started a third time").unwrap(),
        }
    }

    #[tokio::test]
    async fn end_of_a_part_is_not_lost_if_nobody_waits_for_it_when_it_comes() {
        let mut supervisor = Supervisor::default();
        let (end, ended) = oneshot::channel::<()>();
        supervisor.start_essential("keeper", async move {
            let _ = ended.await;
            Ok(())
        });
        timeout(Duration::from_millis(1), supervisor.failure()).await.unwrap_err();
        end.send(()).unwrap();
        // The part ends here, and not within a call of `failure`.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(failure(&mut supervisor).await.to_string().contains("keeper"));
    }

    #[tokio::test]
    async fn shutdown_waits_for_the_parts_to_clean_up() {
        let mut supervisor = Supervisor::default();
        let (cleaned, is_clean) = oneshot::channel();
        let token = supervisor.token();
        supervisor.start_essential("keeper", async move {
            token.cancelled().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            cleaned.send(()).unwrap();
            Ok(())
        });
        supervisor.shut_down(TIMEOUT).await;
        is_clean.await.expect("the part ended by itself");
    }

    #[tokio::test]
    async fn part_that_ignores_cancellation_is_aborted_at_the_deadline() {
        struct SetOnDrop(Option<oneshot::Sender<()>>);
        impl Drop for SetOnDrop {
            fn drop(&mut self) {
                self.0.take().unwrap().send(()).unwrap();
            }
        }
        let mut supervisor = Supervisor::default();
        let (dropped, is_dropped) = oneshot::channel();
        let guard = SetOnDrop(Some(dropped));
        supervisor.start_essential("keeper", async move {
            let _guard = guard;
            pending().await
        });
        let start = Instant::now();
        supervisor.shut_down(Duration::from_millis(50)).await;
        assert!(start.elapsed() >= Duration::from_millis(50));
        timeout(TIMEOUT, is_dropped).await.expect("the part is aborted").unwrap();
    }

    #[tokio::test]
    async fn restart_that_is_still_delayed_does_not_hold_up_the_shutdown() {
        let mut supervisor = Supervisor::default();
        supervisor.start_restartable("metrics server", || ready(Ok(())));
        timeout(Duration::from_millis(400), supervisor.failure()).await.unwrap_err();
        let start = Instant::now();
        supervisor.shut_down(TIMEOUT).await;
        assert!(start.elapsed() < TIMEOUT / 2);
    }
}
