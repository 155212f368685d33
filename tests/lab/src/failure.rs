//! How the laboratory fails: by a panic at the line of the test, with a sentence that says what was attempted.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::interrupt::Interrupted;

/// Unwraps a value without which a test cannot continue.
pub trait OrFail<T> {
    /// Returns the value.
    ///
    /// # Panics
    ///
    /// Panics at the caller's line if there is no value. The message is `attempt`, such as "cannot bind 198.18.0.1:0",
    /// followed by the error if there is one.
    #[track_caller]
    fn or_fail(self, attempt: impl Display) -> T;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    #[track_caller]
    fn or_fail(self, attempt: impl Display) -> T {
        match self {
            Ok(value) => value,
            // The alternate form of an `anyhow::Error` includes its causes.
            Err(error) => panic!("{attempt}: {error:#}"),
        }
    }
}

impl<T> OrFail<T> for Option<T> {
    #[track_caller]
    fn or_fail(self, attempt: impl Display) -> T {
        match self {
            Some(value) => value,
            None => panic!("{attempt}"),
        }
    }
}

/// Runs `work` and returns the message of its panic as an error, for programs whose failures are read by a person.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    if panic.is::<Interrupted>() {
        return "interrupted".to_owned();
    }
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{OrFail as _, catch};

    #[test]
    fn caught_panic_is_the_sentence_of_the_failed_attempt() {
        let failed = catch(|| "x".parse::<u16>().or_fail("cannot parse the port"));
        assert_eq!(failed, Err("cannot parse the port: invalid digit found in string".to_owned()));
        assert_eq!(catch(|| None::<()>.or_fail("no port")), Err("no port".to_owned()));
        assert_eq!(catch(|| Some(1).or_fail("no port")), Ok(1));
    }
}
