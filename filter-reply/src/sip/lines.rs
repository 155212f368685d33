//! The header lines of a message: those whose first letter may begin the name of a header that a response repeats.

use super::lanes::LineStarts;
use super::lexis::Span;
use crate::byte_table::{ByteTable, byte_table};

/// Maximum number of lines collected at a time. Requests seldom have more.
const BATCH: usize = 24;

/// The line after those that [`Lines::read`] collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// More header lines: the batch is full.
    Lines,
    /// The empty line before the body.
    Body,
    /// A line without a newline, or one that begins with white space but is neither empty nor a continuation.
    Malformed,
}

/// Collects header lines from the line after the start line up to the empty line, in batches.
///
/// Batches, because collecting is a tight loop. If header values were parsed in between, they would take its registers.
#[derive(Debug)]
pub(crate) struct Lines<'m> {
    /// Offset of the next line.
    at: usize,
    /// The lines after `at`.
    starts: LineStarts<'m>,
    batch: [Span; BATCH],
    len: usize,
}

impl<'m> Lines<'m> {
    /// Creates a reader of the line at offset `at` and of those that follow it in `starts`.
    pub(crate) const fn new(at: usize, starts: LineStarts<'m>) -> Self {
        Self { at, starts, batch: [Span::new(0, 0); BATCH], len: 0 }
    }

    /// Returns the lines of the current batch in the order of the message, each with its continuations.
    pub(crate) fn batch(&self) -> &[Span] {
        self.batch.get(..self.len).unwrap_or_default()
    }

    /// Collects the next batch of candidate lines. Returns what follows them.
    #[inline(never)]
    pub(crate) fn read(&mut self) -> Next {
        let message = self.starts.message();
        let mut starts = self.starts;
        let mut start = self.at;
        let mut len = 0;
        let mut kind = message.get(start).map_or(EMPTY, |byte| KINDS.get(*byte));
        let next = loop {
            if kind > CANDIDATE {
                break after_headers(message, start);
            }
            let Some(place) = self.batch.get_mut(len) else { break Next::Lines };
            let Some((end, byte)) = starts.next() else { break Next::Malformed };
            // A line that is continued, or no candidate, is overwritten by the next one, which is cheaper than a
            // branch.
            *place = Span::new(start, end);
            let next_kind = KINDS.get(byte);
            if next_kind <= CANDIDATE {
                len += usize::from(kind);
                (start, kind) = (end, next_kind);
            } else if next_kind == EMPTY {
                len += usize::from(kind);
                start = end;
                break after_headers(message, end);
            }
        };
        self.starts = starts;
        self.at = start;
        self.len = len;
        next
    }
}

// The kinds of a line, by its first byte. `OTHER` and `CANDIDATE` are the number of lines to collect.

/// Another header, which no response repeats.
const OTHER: u8 = 0;
/// Possibly a header that a response repeats, by its long or its compact name.
const CANDIDATE: u8 = 1;
/// Continuation of the line before (RFC 3261 section 7.3.1).
const CONTINUATION: u8 = 2;
/// Possibly the empty line, and no header.
const EMPTY: u8 = 3;

static KINDS: ByteTable<u8> = byte_table!(kind);

const fn kind(first: u8) -> u8 {
    match first {
        b' ' | b'\t' => CONTINUATION,
        b'\r' | b'\n' => EMPTY,
        _ => match first | 0x20 {
            b'v' | b'f' | b't' | b'i' | b'c' => CANDIDATE,
            _ => OTHER,
        },
    }
}

/// Classifies the line at `start`, which is not a header: the empty line, or white space that continues no header.
fn after_headers(message: &[u8], start: usize) -> Next {
    match (message.get(start), message.get(start + 1)) {
        (Some(b'\n'), _) | (Some(b'\r'), Some(b'\n')) => Next::Body,
        _ => Next::Malformed,
    }
}
