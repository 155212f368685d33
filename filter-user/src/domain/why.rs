//! The reason that a person gives for a change.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A reason in a person's own words: at most 1000 bytes.
///
/// It goes into logs and onto terminals, so it has no control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Why(String);

/// The error of a text that is not a [`Why`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("why is at most {} bytes, without line breaks and other control characters", Why::MAX_LEN)]
pub struct InvalidWhy;

impl Why {
    /// Maximum length in bytes.
    pub const MAX_LEN: usize = 1000;

    /// Returns the reason as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Why {
    type Error = InvalidWhy;

    fn try_from(text: String) -> Result<Self, InvalidWhy> {
        let fits = text.len() <= Self::MAX_LEN && !text.contains(char::is_control);
        if fits { Ok(Self(text)) } else { Err(InvalidWhy) }
    }
}

impl From<Why> for String {
    fn from(why: Why) -> Self {
        why.0
    }
}

impl FromStr for Why {
    type Err = InvalidWhy;

    fn from_str(text: &str) -> Result<Self, InvalidWhy> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Why;

    #[rstest]
    #[case::usual("upgrade to 6.0", true)]
    #[case::utf8("Umbau läuft", true)]
    #[case::empty("", true)]
    #[case::longest(&"x".repeat(1000), true)]
    #[case::too_long(&"x".repeat(1001), false)]
    #[case::line_break("upgrade\nto 6.0", false)]
    #[case::terminal_escape("\u{1b}[2J", false)]
    #[case::c1_control("a\u{9b}b", false)]
    fn why_is_printable_and_short(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(text.parse::<Why>().is_ok(), valid);
    }
}
