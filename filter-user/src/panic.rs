//! The message of a panic, for errors and logs.

use std::any::Any;

/// Returns the message with which a thread or a task panicked.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    // `panic!` with arguments carries a `String`, without arguments a `&'static str`.
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    text.unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

    use super::message;

    #[track_caller]
    fn message_of(work: fn()) -> String {
        message(&*catch_unwind(AssertUnwindSafe(work)).unwrap_err()).to_owned()
    }

    #[test]
    fn panic_message_is_found_with_and_without_arguments() {
        assert_eq!(message_of(|| panic!("queue {}", 3)), "queue 3");
        assert_eq!(message_of(|| panic!("no queue")), "no queue");
        assert_eq!(message_of(|| panic_any(3)), "without a message");
    }
}
