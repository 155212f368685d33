//! Waiting for something to become true, with a deadline that names what was waited for.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

/// Pause between two looks: short against everything that a test waits for.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` is true and returns how long that took; an error (naming `what`) after `timeout`.
pub fn until(what: &str, timeout: Duration, mut look: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let start = Instant::now();
    for_some(what, timeout, || Ok(look()?.then_some(())))?;
    Ok(start.elapsed())
}

/// Waits until `look` finds something and returns it; an error (naming `what`) after `timeout`.
pub fn for_some<T>(what: &str, timeout: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        interrupt::check()?;
        if Instant::now() >= deadline {
            bail!("waited {timeout:?} in vain for {what}");
        }
        thread::sleep(PAUSE);
    }
}
