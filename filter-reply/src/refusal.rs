//! The content of the response to a refused call.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::number;

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

number! {
    /// A status code that refuses a call: client errors, server errors and global failures (RFC 3261 section 21).
    ///
    /// The default is 503 (Service Unavailable), after which an upstream tries another host (RFC 3261 section 21.5.4).
    StatusCode(u16) in 400..=699, default 503, get;
    InvalidStatusCode: "a status code is a number from {least} to {most}"
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

number! {
    /// A `Retry-After` in seconds, at most a day; 0 leaves the header out (RFC 3261 section 20.33).
    ///
    /// Upstreams obey the header, and one digit too many would keep them away for weeks. The default is 30 s.
    RetryAfter(u32) in 0..=86_400, default 30, as_secs;
    InvalidRetryAfter: "Retry-After is a number of seconds from {least} (none) to {most}"
}

impl RetryAfter {
    /// Returns whether the header is left out.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
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
