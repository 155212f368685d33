//! The share of new calls that is refused.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use filter_reply::parse_decimal;
use serde::{Deserialize, Serialize};

/// A share of new calls in percent, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Percent(u8);

/// The error of a number that is not a [`Percent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share of new calls is a number from {} to {}, in percent", Percent::RANGE.start(), Percent::RANGE.end())]
pub struct InvalidPercent;

impl Percent {
    /// Shares that a policy may have. A policy that refuses no calls is maintenance off.
    pub const RANGE: RangeInclusive<u8> = 1..=100;
    /// All new calls.
    pub const ALL: Self = Self(100);

    /// Returns the share as a number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Percent {
    /// Returns all new calls.
    fn default() -> Self {
        Self::ALL
    }
}

impl TryFrom<u8> for Percent {
    type Error = InvalidPercent;

    fn try_from(percent: u8) -> Result<Self, InvalidPercent> {
        if Self::RANGE.contains(&percent) { Ok(Self(percent)) } else { Err(InvalidPercent) }
    }
}

impl From<Percent> for u8 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

impl FromStr for Percent {
    type Err = InvalidPercent;

    fn from_str(text: &str) -> Result<Self, InvalidPercent> {
        let percent = parse_decimal(text).and_then(|percent| u8::try_from(percent).ok());
        percent.ok_or(InvalidPercent)?.try_into()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Percent;

    #[rstest]
    #[case::least("1", Some(1))]
    #[case::some("30", Some(30))]
    #[case::all("100", Some(100))]
    #[case::none("0", None)]
    #[case::more_than_all("101", None)]
    #[case::beyond_8_bits("256", None)]
    #[case::unit("30%", None)]
    #[case::signed("+30", None)]
    #[case::empty("", None)]
    fn percent_is_a_plain_number_from_1_to_100(#[case] text: &str, #[case] percent: Option<u8>) {
        assert_eq!(text.parse().ok().map(Percent::get), percent);
    }
}
