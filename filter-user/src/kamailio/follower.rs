//! Keeping Kamailio in step: the task that tells it, and the handle by which that is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::exchange::{Exchange, WITHIN};
use super::message::{Definition, Request, definition, flag};
use super::{Error, Status, Target};
use crate::backoff::Backoff;

/// How often Kamailio is looked at: it may have started again, or been told something else by somebody else.
const LOOK: Duration = Duration::from_secs(2);

/// How long who switches waits for Kamailio: for one try, and what a busy machine adds.
const PATIENCE: Duration = WITHIN.saturating_add(Duration::from_millis(50));

/// What Kamailio is to have.
#[derive(Clone, Copy, Debug)]
struct Wish {
    on: bool,
    /// Rises with each wish, also if it is the same again.
    number: u64,
}

/// Tells Kamailio, now and again.
pub struct Follower {
    target: Target,
    own: PathBuf,
    wish: watch::Receiver<Wish>,
    status: watch::Sender<Status>,
}

/// Has Kamailio told.
#[derive(Clone)]
pub struct Teller {
    wish: watch::Sender<Wish>,
    status: watch::Receiver<Status>,
}

impl Follower {
    /// A follower for `target`, which takes its answers at the path `own`. At first Kamailio is told `on`.
    pub fn new(target: Target, own: PathBuf, on: bool) -> (Self, Teller) {
        let (wishes, wish) = watch::channel(Wish { on, number: 1 });
        let (status, shown) = watch::channel(Status::new(&target));
        (Self { target, own, wish, status }, Teller { wish: wishes, status: shown })
    }

    /// Works until nobody is left who could have it told.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut met = 0;
        loop {
            let wish = *self.wish.borrow_and_update();
            let outcome = tokio::select! {
                biased;
                // Another wish: what was tried for the old one is of no interest any more.
                changed = self.wish.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                outcome = follow(&self.target, &self.own, wish.on, wish.number != met) => outcome,
            };
            let pause = if outcome.is_ok() {
                backoff.succeeded();
                met = wish.number;
                LOOK
            } else {
                backoff.failed()
            };
            self.status.send_modify(|status| {
                status.tried = wish.number;
                match outcome {
                    Ok(definition) => status.succeeded(wish.on, definition),
                    Err(error) => status.failed(wish.on, &error),
                }
            });
            tokio::select! {
                changed = self.wish.changed() => if changed.is_err() { return },
                () = sleep(pause) => {}
            }
        }
    }
}

/// Sees to it that Kamailio has the flag. With `tell` it is told in any case, else if it has another one.
async fn follow(target: &Target, own: &Path, on: bool, tell: bool) -> Result<Definition, Error> {
    let htable = target.htable.as_str();
    let mut kamailio = Exchange::open(own, target.socket.path())?;
    if tell || flag(kamailio.ask(&Request::get(htable)).await)? != on {
        kamailio.ask(&Request::set(htable, on)).await?;
        info!("told Kamailio at {}: maintenance {}", target.socket.path().display(), if on { "on" } else { "off" });
    }
    definition(htable, &kamailio.ask(&Request::list(htable)).await?)
}

impl Teller {
    /// Has Kamailio told, and returns when it has the flag; or, if it cannot be told now, in 300 ms at most: then it is
    /// told as soon as that works.
    pub async fn tell(&mut self, on: bool) {
        let mut number = 0;
        self.wish.send_modify(|wish| {
            number = wish.number + 1;
            *wish = Wish { on, number };
        });
        // What became of it is in the status, with an alarm if it failed.
        let _ = timeout(PATIENCE, self.status.wait_for(|status| status.tried >= number)).await;
    }

    /// What is known of Kamailio, also later.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}
