//! The response that a refused call gets, and what each part of it may be.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::decimal;

/// The response that a refused call gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Row `maint_code`: the status code, 400 to 699.
    pub code: u16,
    /// Row `maint_reason`: the reason phrase (RFC 3261 section 25.1): no CR, LF or other control bytes.
    pub reason: String,
    /// Row `maint_retry_after`: `Retry-After` in seconds, before jitter; `0` leaves the header out.
    pub retry_after: u32,
}

impl Default for Refusal {
    fn default() -> Self {
        Self { code: 503, reason: "Maintenance".into(), retry_after: 30 }
    }
}

/// Why a value cannot be part of a response.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidValue {
    /// Status code.
    #[error("a status code is a number from {} to {}", Refusal::MIN_CODE, Refusal::MAX_CODE)]
    Code,
    /// Reason phrase.
    #[error(
        "a reason phrase is UTF-8 of 1 to {} bytes, without CR, LF and other control characters",
        Refusal::MAX_REASON
    )]
    Reason,
    /// `Retry-After`.
    #[error("Retry-After is a number of seconds from 0 (none) to {}", Refusal::MAX_RETRY_AFTER)]
    RetryAfter,
}

impl Refusal {
    /// The lowest status code that refuses a call.
    pub const MIN_CODE: u16 = 400;
    /// The highest status code that there is.
    pub const MAX_CODE: u16 = 699;
    /// The longest reason phrase in bytes: what `key_value` holds in Kamailio before 6.0 (`VARCHAR(128)`).
    pub const MAX_REASON: usize = 128;
    /// The longest `Retry-After` in seconds, a day: upstreams take it literally, and one digit too many
    /// would have them stay away for weeks.
    pub const MAX_RETRY_AFTER: u32 = 86_400;

    /// Reads a status code.
    pub fn parse_code(text: &str) -> Result<u16, InvalidValue> {
        let code = decimal(text).and_then(|code| u16::try_from(code).ok()).ok_or(InvalidValue::Code)?;
        if (Self::MIN_CODE..=Self::MAX_CODE).contains(&code) { Ok(code) } else { Err(InvalidValue::Code) }
    }

    /// Reads a reason phrase.
    pub fn parse_reason(text: &str) -> Result<String, InvalidValue> {
        // The replacement character is what a row that is not UTF-8 has become by the time it is read.
        let bad = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
        let fits = !text.trim().is_empty() && text.len() <= Self::MAX_REASON && !text.contains(bad);
        if fits { Ok(text.to_owned()) } else { Err(InvalidValue::Reason) }
    }

    /// Reads a `Retry-After`, in seconds.
    pub fn parse_retry_after(text: &str) -> Result<u32, InvalidValue> {
        decimal(text).filter(|seconds| *seconds <= Self::MAX_RETRY_AFTER).ok_or(InvalidValue::RetryAfter)
    }

    /// Checks a refusal that did not come through the `parse_` functions: one from a file or from a client.
    pub fn check(&self) -> Result<(), InvalidValue> {
        Self::parse_code(&self.code.to_string())?;
        Self::parse_reason(&self.reason)?;
        Self::parse_retry_after(&self.retry_after.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{InvalidValue, Refusal};

    #[rstest]
    #[case::lowest("400", Ok(400))]
    #[case::highest("699", Ok(699))]
    #[case::too_low("399", Err(InvalidValue::Code))]
    #[case::too_high("700", Err(InvalidValue::Code))]
    #[case::does_not_fit("66039", Err(InvalidValue::Code))]
    #[case::signed("+503", Err(InvalidValue::Code))]
    #[case::padded(" 503", Err(InvalidValue::Code))]
    #[case::word("busy", Err(InvalidValue::Code))]
    #[case::empty("", Err(InvalidValue::Code))]
    fn status_codes(#[case] text: &str, #[case] code: Result<u16, InvalidValue>) {
        assert_eq!(Refusal::parse_code(text), code);
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
    #[case::c1_control("a\u{85}b", false)]
    #[case::not_utf8("Wartung l\u{fffd}uft", false)]
    #[case::blank("  ", false)]
    #[case::empty("", false)]
    fn reason_phrases(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(Refusal::parse_reason(text).is_ok(), valid);
    }

    #[rstest]
    #[case::none("0", Ok(0))]
    #[case::a_day("86400", Ok(86_400))]
    #[case::more_than_a_day("86401", Err(InvalidValue::RetryAfter))]
    #[case::negative("-1", Err(InvalidValue::RetryAfter))]
    #[case::unit("30s", Err(InvalidValue::RetryAfter))]
    #[case::does_not_fit("99999999999", Err(InvalidValue::RetryAfter))]
    fn retry_after(#[case] text: &str, #[case] seconds: Result<u32, InvalidValue>) {
        assert_eq!(Refusal::parse_retry_after(text), seconds);
    }
}
