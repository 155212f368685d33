//! What of a response is the same for all requests, made once per policy.

use super::refusal::Refusal;
use super::tag::{TagSecret, TransactionHash};
use crate::sip::lexis::is_token;

/// What a responder needs to make responses; built once when the policy changes, and shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTemplate {
    status_line: Box<[u8]>,
    retry_after: u32,
    /// The most that `Retry-After` may say, in seconds.
    longest: u32,
    secret: TagSecret,
}

/// Why a refusal makes no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It could not stand in a To header.
    #[error("the tag prefix has octets that no token has (RFC 3261 section 25.1)")]
    Prefix,
}

impl ReplyTemplate {
    /// The template for `refusal`, with tags by `secret`.
    ///
    /// # Errors
    ///
    /// The refusal, although checked where it was read, or the prefix would make a response that is none.
    pub fn new(refusal: &Refusal, secret: &TagSecret) -> Result<Self, TemplateError> {
        if !secret.prefix.iter().all(|octet| is_token(*octet)) {
            return Err(TemplateError::Prefix);
        }
        let status_line = format!("SIP/2.0 {} {}\r\n", refusal.code, refusal.reason);
        Ok(Self {
            status_line: status_line.into_bytes().into(),
            retry_after: refusal.retry_after.as_secs(),
            longest: u32::MAX,
            secret: *secret,
        })
    }

    /// The same for a maintenance that is to end in `seconds`: no caller is told to come back later than that.
    #[must_use]
    pub fn ending_in(self, seconds: u32) -> Self {
        Self { longest: seconds, ..self }
    }

    /// The status line with its CRLF.
    pub(super) fn status_line(&self) -> &[u8] {
        &self.status_line
    }

    pub(super) const fn secret(&self) -> &TagSecret {
        &self.secret
    }

    /// `Retry-After` in seconds for the transaction, `None` to leave it out: as configured and up to a fifth more, so
    /// that the refused do not come back all at once. It depends on the hash alone: a retransmission gets the same.
    pub(super) fn retry_after(&self, transaction: TransactionHash) -> Option<u32> {
        let jitter = (u128::from(transaction.0) * (u128::from(self.retry_after / 5) + 1)) >> 64;
        // `jitter` is at most a fifth of u32::MAX.
        let seconds = self.retry_after.saturating_add(jitter as u32).min(self.longest);
        (self.retry_after > 0 && seconds > 0).then_some(seconds)
    }
}
