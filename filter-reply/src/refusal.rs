//! The content of the response to a refused call.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The content of the response to a refused call.
///
/// The default is that of a plain `sip-filter on`: `503 Maintenance` with `Retry-After: 30`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Status code; row `maint_code`.
    pub code: StatusCode,
    /// Reason phrase; row `maint_reason`.
    pub reason: ReasonPhrase,
    /// `Retry-After` before jitter; row `maint_retry_after`.
    pub retry_after: RetryAfter,
}

/// A status code that refuses a call: 400 to 699 (RFC 3261 section 21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct StatusCode(u16);

/// The error of a number that is not a [`StatusCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a status code is a number from {} to {}", StatusCode::RANGE.start(), StatusCode::RANGE.end())]
pub struct InvalidStatusCode;

impl StatusCode {
    /// Codes that refuse a call: client errors, server errors and global failures.
    pub const RANGE: RangeInclusive<u16> = 400..=699;

    /// Returns the code as a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for StatusCode {
    /// Returns 503 (Service Unavailable), after which an upstream tries another host (RFC 3261 section 21.5.4).
    fn default() -> Self {
        Self(503)
    }
}

impl TryFrom<u16> for StatusCode {
    type Error = InvalidStatusCode;

    fn try_from(code: u16) -> Result<Self, InvalidStatusCode> {
        if Self::RANGE.contains(&code) { Ok(Self(code)) } else { Err(InvalidStatusCode) }
    }
}

impl From<StatusCode> for u16 {
    fn from(code: StatusCode) -> Self {
        code.0
    }
}

impl FromStr for StatusCode {
    type Err = InvalidStatusCode;

    fn from_str(text: &str) -> Result<Self, InvalidStatusCode> {
        let code = parse_decimal(text).and_then(|code| u16::try_from(code).ok());
        code.ok_or(InvalidStatusCode)?.try_into()
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A reason phrase: UTF-8 of 1 to 128 bytes that fits into a status line (RFC 3261 section 25.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReasonPhrase(String);

/// The error of a text that is not a [`ReasonPhrase`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a reason phrase is UTF-8 of 1 to {} bytes, without CR, LF and other control characters",
    ReasonPhrase::MAX_LEN
)]
pub struct InvalidReasonPhrase;

impl ReasonPhrase {
    /// Maximum length in bytes: Kamailio before 6.0 has `VARCHAR(128)` for `key_value`.
    pub const MAX_LEN: usize = 128;

    /// Returns the phrase as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ReasonPhrase {
    /// Returns `Maintenance`.
    fn default() -> Self {
        Self("Maintenance".to_owned())
    }
}

impl TryFrom<String> for ReasonPhrase {
    type Error = InvalidReasonPhrase;

    fn try_from(text: String) -> Result<Self, InvalidReasonPhrase> {
        // A database row that is not UTF-8 has U+FFFD in it by the time it is parsed.
        let is_bad = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
        let fits = !text.trim().is_empty() && text.len() <= Self::MAX_LEN && !text.contains(is_bad);
        if fits { Ok(Self(text)) } else { Err(InvalidReasonPhrase) }
    }
}

impl From<ReasonPhrase> for String {
    fn from(reason: ReasonPhrase) -> Self {
        reason.0
    }
}

impl FromStr for ReasonPhrase {
    type Err = InvalidReasonPhrase;

    fn from_str(text: &str) -> Result<Self, InvalidReasonPhrase> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for ReasonPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A `Retry-After` in seconds, 0 to 86 400; 0 leaves the header out (RFC 3261 section 20.33).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct RetryAfter(u32);

/// The error of a number that is not a [`RetryAfter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("Retry-After is a number of seconds from 0 (none) to {}", RetryAfter::MAX)]
pub struct InvalidRetryAfter;

impl RetryAfter {
    /// Maximum in seconds: a day. Upstreams obey the header, and one digit too many would keep them away for weeks.
    pub const MAX: u32 = 86_400;

    /// Returns the number of seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// Returns whether the header is left out.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl Default for RetryAfter {
    /// Returns 30 seconds.
    fn default() -> Self {
        Self(30)
    }
}

impl TryFrom<u32> for RetryAfter {
    type Error = InvalidRetryAfter;

    fn try_from(seconds: u32) -> Result<Self, InvalidRetryAfter> {
        if seconds <= Self::MAX { Ok(Self(seconds)) } else { Err(InvalidRetryAfter) }
    }
}

impl From<RetryAfter> for u32 {
    fn from(retry_after: RetryAfter) -> Self {
        retry_after.0
    }
}

impl FromStr for RetryAfter {
    type Err = InvalidRetryAfter;

    fn from_str(text: &str) -> Result<Self, InvalidRetryAfter> {
        parse_decimal(text).ok_or(InvalidRetryAfter)?.try_into()
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parses a plain decimal number, the form of numbers in policy rows and options.
///
/// Returns `None` for anything but digits: a sign or a space in such a value is a mistake.
pub fn parse_decimal(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{ReasonPhrase, Refusal, RetryAfter, StatusCode};

    #[rstest]
    #[case::lowest("400", Some(400))]
    #[case::highest("699", Some(699))]
    #[case::too_low("399", None)]
    #[case::too_high("700", None)]
    #[case::does_not_fit("66039", None)]
    #[case::signed("+503", None)]
    #[case::padded(" 503", None)]
    #[case::word("busy", None)]
    #[case::empty("", None)]
    fn status_code_is_a_plain_number_from_400_to_699(#[case] text: &str, #[case] code: Option<u16>) {
        assert_eq!(text.parse().ok().map(StatusCode::get), code);
    }

    #[test]
    fn status_codes_below_400_and_above_699_are_rejected() {
        for code in 0..=u16::MAX {
            assert_eq!(StatusCode::try_from(code).is_ok(), (400..=699).contains(&code), "{code}");
        }
    }

    #[rstest]
    #[case::default("Maintenance", true)]
    #[case::utf8("Wartung läuft", true)]
    #[case::longest(&"x".repeat(128), true)]
    #[case::too_long(&"x".repeat(129), false)]
    #[case::header_injection("Busy\r\nContact: <sip:evil@example.com>", false)]
    #[case::lf("Busy\n", false)]
    #[case::tab("a\tb", false)]
    #[case::nul("a\0b", false)]
    #[case::del("a\u{7f}b", false)]
    #[case::c1_control("a\u{85}b", false)]
    #[case::not_utf8("Wartung l\u{fffd}uft", false)]
    #[case::blank("  ", false)]
    #[case::empty("", false)]
    fn reason_phrase_fits_into_a_status_line(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(text.parse::<ReasonPhrase>().is_ok(), valid);
    }

    #[rstest]
    #[case::none("0", Some(0))]
    #[case::a_day("86400", Some(86_400))]
    #[case::more_than_a_day("86401", None)]
    #[case::negative("-1", None)]
    #[case::unit("30s", None)]
    #[case::does_not_fit("99999999999", None)]
    fn retry_after_is_at_most_a_day(#[case] text: &str, #[case] seconds: Option<u32>) {
        assert_eq!(text.parse().ok().map(RetryAfter::as_secs), seconds);
    }

    #[rstest]
    #[case::code(r#"{"code": 200, "reason": "OK", "retry_after": 0}"#)]
    #[case::code_beyond_16_bits(r#"{"code": 66039, "reason": "OK", "retry_after": 0}"#)]
    #[case::reason(r#"{"code": 503, "reason": "a\r\nb: c", "retry_after": 0}"#)]
    #[case::retry_after(r#"{"code": 503, "reason": "Maintenance", "retry_after": 86401}"#)]
    fn refusal_read_from_json_has_the_same_limits(#[case] json: &str) {
        serde_json::from_str::<Refusal>(json).unwrap_err();
    }
}
