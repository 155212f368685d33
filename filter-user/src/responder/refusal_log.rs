//! The records of refused calls that responders leave for the log.
//!
//! Under load, more calls are refused than a log should hold. The records are in a queue of fixed size, so that
//! recording neither blocks nor allocates. Once the log has its lines for the second, the queue fills up, and further
//! calls are only counted.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use filter_common::sip::Method;
use filter_reply::Summary;

/// Maximum number of refused calls that are logged per second, and the capacity of the queue.
pub(super) const PER_SECOND: usize = 10;
/// Maximum length of a Call-ID in the log, in bytes. RFC 3261 sets no limit; usual ones have 20 to 70 bytes.
const MAX_CALL_ID: usize = 128;

/// A queue of records of refused calls.
#[derive(Debug)]
pub(crate) struct RefusalLog {
    records: ArrayQueue<Record>,
    omitted: AtomicU64,
}

/// A refused call.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) call_id: Prefix<MAX_CALL_ID>,
    pub(super) method: Method,
    pub(super) source: SocketAddr,
}

impl RefusalLog {
    /// Creates an empty queue.
    pub(crate) fn new() -> Self {
        Self { records: ArrayQueue::new(PER_SECOND), omitted: AtomicU64::new(0) }
    }

    /// Records a refused call, or counts it if the queue is full.
    pub(super) fn record(&self, refused: &Summary<'_>) {
        // Checked first, because under load most records would be built in vain.
        if self.records.is_full() {
            self.omitted.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let record = Record { call_id: Prefix::new(refused.call_id), method: refused.method, source: refused.source };
        if self.records.push(record).is_err() {
            self.omitted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes the oldest record.
    pub(super) fn pop(&self) -> Option<Record> {
        self.records.pop()
    }

    /// Returns the number of calls that were only counted, and resets it.
    pub(super) fn take_omitted(&self) -> u64 {
        self.omitted.swap(0, Ordering::Relaxed)
    }
}

/// The first `N` bytes of a text.
#[derive(Debug)]
pub(super) struct Prefix<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Prefix<N> {
    fn new(text: &[u8]) -> Self {
        let mut bytes = [0; N];
        let len = text.len().min(N);
        bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        Self { bytes, len }
    }
}

impl<const N: usize> fmt::Display for Prefix<N> {
    /// Writes the text, escaped: it comes from the network and goes to a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes[..self.len].escape_ascii().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use filter_common::sip::Method;
    use filter_reply::Summary;

    use super::{MAX_CALL_ID, PER_SECOND, RefusalLog};

    fn summary(call_id: &[u8]) -> Summary<'_> {
        let source = ([198, 18, 0, 1], 5060).into();
        Summary { source, method: Method::Invite, request_uri: b"sip:b@b", call_id }
    }

    #[test]
    fn calls_beyond_the_capacity_of_the_log_are_only_counted() {
        let log = RefusalLog::new();
        for call in 0..PER_SECOND + 2 {
            log.record(&summary(call.to_string().as_bytes()));
        }
        for call in 0..PER_SECOND {
            assert_eq!(log.pop().unwrap().call_id.to_string(), call.to_string());
        }
        assert!(log.pop().is_none());
        assert_eq!((log.take_omitted(), log.take_omitted()), (2, 0));
    }

    #[test]
    fn call_id_in_the_log_is_escaped_and_truncated() {
        let log = RefusalLog::new();
        log.record(&summary(b"a\x1b[2J\n\xff"));
        log.record(&summary(&[b'x'; MAX_CALL_ID + 1]));
        assert_eq!(log.pop().unwrap().call_id.to_string(), r"a\x1b[2J\n\xff");
        assert_eq!(log.pop().unwrap().call_id.to_string(), "x".repeat(MAX_CALL_ID));
    }
}
