//! Where the header lines of a message begin and end: of those whose names begin with a letter that matters.

use super::lanes::LineStarts;
use super::lexis::Span;

/// How many lines are noted at a time. Requests seldom have more.
const BATCH: usize = 24;

/// What comes after lines that have been noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Other lines: there was no room for them.
    Lines,
    /// The empty line.
    Body,
    /// A line that has no end, or that begins with white space and is neither empty nor continues another.
    Nothing,
}

/// Reads the header lines from the line after the start line to the empty line, some at a time.
///
/// All of them at once are one tight loop: between them, the values of headers would be read, and take its registers.
#[derive(Debug)]
pub(crate) struct Lines<'m> {
    /// The beginnings of lines after `at`.
    starts: LineStarts<'m>,
    /// Where the line begins that comes next.
    at: usize,
    noted: [Span; BATCH],
    count: usize,
}

impl<'m> Lines<'m> {
    /// The lines from `at` on, which is the offset of a line, as are those that `starts` still has.
    pub(crate) const fn new(at: usize, starts: LineStarts<'m>) -> Self {
        Self { starts, at, noted: [Span::new(0, 0); BATCH], count: 0 }
    }

    /// The lines that have been noted, each with those that continue it, in the order of the message.
    pub(crate) fn noted(&self) -> &[Span] {
        self.noted.get(..self.count).unwrap_or_default()
    }

    /// Notes the next lines that may matter, and says what comes after them.
    #[inline(never)]
    pub(crate) fn read(&mut self) -> After {
        let message = self.starts.message();
        let mut starts = self.starts;
        let mut start = self.at;
        let mut count = 0;
        let mut kind = message.get(start).map_or(EMPTY, |octet| KINDS[usize::from(*octet)]);
        let after = loop {
            if kind > MATTERS {
                break after_last(message, start);
            }
            let Some(place) = self.noted.get_mut(count) else { break After::Lines };
            let Some((end, octet)) = starts.next() else { break After::Nothing };
            // One that goes on or does not matter is written over, which is quicker than to ask.
            *place = Span::new(start, end);
            let next = KINDS[usize::from(octet)];
            if next <= MATTERS {
                count += usize::from(kind);
                (start, kind) = (end, next);
            } else if next == EMPTY {
                count += usize::from(kind);
                start = end;
                break after_last(message, end);
            }
        };
        self.starts = starts;
        self.at = start;
        self.count = count;
        after
    }
}

/// What the first octet of a line says of it. It does not matter.
const OTHER: u8 = 0;
/// The name may be that of a header that a response repeats, in its long form or the short one.
const MATTERS: u8 = 1;
/// It continues another (RFC 3261 section 7.3.1).
const CONTINUES: u8 = 2;
/// It may be the empty line, and is no header.
const EMPTY: u8 = 3;

static KINDS: [u8; 256] = {
    let mut table = [OTHER; 256];
    let mut octet = 0;
    while octet < table.len() {
        table[octet] = match octet as u8 {
            b' ' | b'\t' => CONTINUES,
            b'\r' | b'\n' => EMPTY,
            _ => match octet as u8 | 0x20 {
                b'v' | b'f' | b't' | b'i' | b'c' => MATTERS,
                _ => OTHER,
            },
        };
        octet += 1;
    }
    table
};

/// What the line at `start` is, which is no header: the empty one, or one that continues none.
fn after_last(message: &[u8], start: usize) -> After {
    match (message.get(start), message.get(start + 1)) {
        (Some(b'\n'), _) | (Some(b'\r'), Some(b'\n')) => After::Body,
        _ => After::Nothing,
    }
}
