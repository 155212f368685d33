//! Help texts of options, for the tests that hold their numbers and defaults to the code.

use clap::{Args, Command};

/// Asserts that the help of the option `id` of `T` has `words`.
#[track_caller]
pub(crate) fn assert_help<T: Args>(id: &str, words: &[String]) {
    let command = T::augment_args(Command::new("sip-filter"));
    let option = command.get_arguments().find(|option| option.get_id() == id).expect(id);
    let help = option.get_help().expect(id).to_string();
    for word in words {
        assert!(help.contains(word), "no {word:?} in {help:?}");
    }
}
