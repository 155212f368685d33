//! Keeping Kamailio in sync: the task that sets its flag, and the handle by which the flag is changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::exchange::{EXCHANGE_TIMEOUT, Exchange};
use super::message::{Definition, Request, parse_definition, parse_flag};
use super::{Error, Status, Target};
use crate::backoff::Backoff;

/// Interval at which Kamailio's flag is checked: Kamailio may have been restarted, or the flag set by somebody else.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Maximum time that a switch waits for Kamailio: one exchange, and some time for a busy machine.
const SET_TIMEOUT: Duration = EXCHANGE_TIMEOUT.saturating_add(Duration::from_millis(50));

/// The flag that Kamailio should have.
#[derive(Clone, Copy, Debug)]
struct Desired {
    on: bool,
    /// Number of the request. It increases with each request, even if the flag stays the same.
    number: u64,
}

/// Sets Kamailio's flag, and sets it again when it differs.
#[derive(Clone)]
pub struct KamailioSync {
    target: Target,
    replies: PathBuf,
    desired: watch::Receiver<Desired>,
    status: watch::Sender<Status>,
}

/// A handle by which Kamailio's flag is changed.
#[derive(Clone)]
pub struct KamailioHandle {
    desired: watch::Sender<Desired>,
    status: watch::Receiver<Status>,
}

impl KamailioSync {
    /// Creates a sync for `target`, whose replies are received at the path `replies`. First the flag is set to `on`.
    pub fn new(target: Target, replies: PathBuf, on: bool) -> (Self, KamailioHandle) {
        let (set_desired, desired) = watch::channel(Desired { on, number: 1 });
        let (set_status, status) = watch::channel(Status::new(&target));
        let handle = KamailioHandle { desired: set_desired, status };
        (Self { target, replies, desired, status: set_status }, handle)
    }

    /// Runs until `stop` is cancelled, or until all handles are gone.
    ///
    /// If it ends otherwise, it can be run again by a clone: the flag is then set again.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        self.status.send_modify(Status::start);
        let mut backoff = Backoff::default();
        let mut applied = 0;
        loop {
            let desired = *self.desired.borrow_and_update();
            let outcome = tokio::select! {
                biased;
                // The flag has changed again, so the exchange for the old one does not matter any more.
                changed = self.desired.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                outcome = synchronize(&self.target, &self.replies, desired.on, desired.number != applied) => outcome,
            };
            let delay = if outcome.is_ok() {
                backoff.reset();
                applied = desired.number;
                CHECK_INTERVAL
            } else {
                backoff.next_delay()
            };
            self.status.send_modify(|status| {
                status.attempted = desired.number;
                match outcome {
                    Ok(definition) => status.succeed(desired.on, definition),
                    Err(error) => status.fail(desired.on, &error),
                }
            });
            tokio::select! {
                changed = self.desired.changed() => if changed.is_err() { return },
                () = sleep(delay) => {}
            }
        }
    }
}

/// Sets the flag to `on`: always with `force`, otherwise only if it differs. Returns the definition of the htable.
async fn synchronize(target: &Target, replies: &Path, on: bool, force: bool) -> Result<Definition, Error> {
    let htable = target.htable.as_str();
    let mut kamailio = Exchange::open(replies, target.socket.path())?;
    if force || parse_flag(kamailio.request(&Request::get(htable)).await)? != on {
        kamailio.request(&Request::set(htable, on)).await?;
        info!(
            "set the flag of Kamailio at {}: maintenance {}",
            target.socket.path().display(),
            if on { "on" } else { "off" }
        );
    }
    parse_definition(htable, &kamailio.request(&Request::list(htable)).await?)
}

impl KamailioHandle {
    /// Changes the flag, and waits until Kamailio has it. If Kamailio cannot be reached, this returns after 300 ms at
    /// most, and the flag is set as soon as that is possible.
    pub async fn set(&mut self, on: bool) {
        let mut number = 0;
        self.desired.send_modify(|desired| {
            number = desired.number + 1;
            *desired = Desired { on, number };
        });
        // The status has the outcome, and an alarm if it failed.
        let _ = timeout(SET_TIMEOUT, self.status.wait_for(|status| status.attempted >= number)).await;
    }

    /// Returns a receiver of Kamailio's status, which follows its changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}
