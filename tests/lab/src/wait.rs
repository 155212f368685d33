//! Waiting for a condition, with a timeout whose message says what was waited for.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use crate::interrupt;

/// Pause between two checks of a condition, short compared with everything that a test waits for.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `condition` is true and returns how long that took.
///
/// # Panics
///
/// Panics after `timeout` with `what`, such as "the daemon to end".
#[track_caller]
pub fn until(what: impl Display, timeout: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    until_some(what, timeout, || condition().then_some(()));
    start.elapsed()
}

/// Waits until `find` returns a value and returns that value.
///
/// # Panics
///
/// Panics after `timeout` with `what`, such as "an alarm about the database".
#[track_caller]
pub fn until_some<T>(what: impl Display, timeout: Duration, mut find: impl FnMut() -> Option<T>) -> T {
    let found = poll(timeout, || {
        interrupt::check();
        find()
    });
    match found {
        Some(found) => found,
        None => panic!("waited {timeout:?} in vain for {what}"),
    }
}

/// Waits until `find` returns a value and returns it, or `None` after `timeout`.
///
/// `find` is called at least once. Does not panic unless `find` does, so that it can be used in a `drop`.
pub(crate) fn poll<T>(timeout: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = find() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}
