//! The part of a response that is the same for all requests.

use crate::refusal::Refusal;
use crate::tag::{TagSecret, TransactionHash};

/// The part of a response that is the same for all requests, rendered once per policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseTemplate {
    status_line: Box<[u8]>,
    /// `Retry-After` before jitter, in seconds; 0 leaves it out.
    retry_after: u32,
    /// Maximum `Retry-After` in seconds.
    max_retry_after: u32,
    secret: TagSecret,
    forces_rport: bool,
}

impl ResponseTemplate {
    /// Creates the template of responses with the content `refusal` and To tags computed with `secret`.
    pub fn new(refusal: &Refusal, secret: &TagSecret) -> Self {
        Self {
            status_line: format!("SIP/2.0 {} {}\r\n", refusal.code, refusal.reason).into_bytes().into(),
            retry_after: refusal.retry_after.as_secs(),
            max_retry_after: u32::MAX,
            secret: *secret,
            forces_rport: false,
        }
    }

    /// Sets whether each response goes to the source port of its request, as if the topmost Via had `rport`.
    ///
    /// Kamailio's `force_rport()` does this.
    #[must_use]
    pub fn with_forced_rport(self, forces_rport: bool) -> Self {
        Self { forces_rport, ..self }
    }

    /// Limits `Retry-After` to the number of seconds until the planned end of the maintenance.
    #[must_use]
    pub fn ending_in(self, seconds: u32) -> Self {
        Self { max_retry_after: seconds, ..self }
    }

    /// Returns the status line with its CRLF.
    pub(crate) fn status_line(&self) -> &[u8] {
        &self.status_line
    }

    pub(crate) const fn forces_rport(&self) -> bool {
        self.forces_rport
    }

    pub(crate) const fn secret(&self) -> &TagSecret {
        &self.secret
    }

    /// Returns the `Retry-After` of a transaction in seconds, or `None` to leave it out.
    ///
    /// Jitter of up to a fifth spreads the next attempts of the refused callers. It depends on the hash alone, so that
    /// a retransmission gets the same value.
    pub(crate) fn retry_after(&self, transaction: TransactionHash) -> Option<u32> {
        let jitter = (u128::from(transaction.0) * (u128::from(self.retry_after / 5) + 1)) >> 64;
        // No overflow: the jitter is at most a fifth, and the sum at most 103 680 (see `RetryAfter::RANGE`).
        let seconds = (self.retry_after + jitter as u32).min(self.max_retry_after);
        (self.retry_after > 0 && seconds > 0).then_some(seconds)
    }
}
