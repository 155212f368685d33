//! The header lines of a message, of which only those are told apart that a response repeats.

use super::Refused;
use super::lexis::{is_white, skip};

/// The headers that a response repeats (RFC 3261 section 8.2.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Via,
    From,
    To,
    CallId,
    Cseq,
}

/// A header line, with the lines that continue it, as offsets into the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) name: Name,
    /// Where its name begins.
    pub(super) start: usize,
    /// Where its value begins: after the colon and the white space behind it.
    pub(super) value: usize,
    /// Where its value ends: before the white space that may follow it. Not before `value`.
    pub(super) value_end: usize,
    /// Where the next line begins.
    pub(super) end: usize,
}

/// Reads the headers from the line after the start line to the empty line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Headers<'m> {
    /// The headers that begin at the offset `at`.
    pub(super) const fn new(message: &'m [u8], at: usize) -> Self {
        Self { message, at }
    }

    /// The next header that matters. `None`: the empty line has come.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<Header>, Refused> {
        loop {
            let start = self.at;
            let first = *self.message.get(start).ok_or(Refused::Headers)?;
            let name = match first | 0x20 {
                b'v' | b'f' | b't' | b'i' | b'c' => name(self.message, start)?,
                _ if is_white(first) => return self.empty_line(first),
                _ => None,
            };
            self.at = end_of_header(self.message, start).ok_or(Refused::Headers)?;
            if let Some((name, colon)) = name {
                return Ok(Some(header(self.message, name, start, colon, self.at)));
            }
        }
    }

    /// The line that begins with `first`, which is white space: the empty one, or a line that continues none.
    fn empty_line(&self, first: u8) -> Result<Option<Header>, Refused> {
        match (first, self.message.get(self.at + 1)) {
            (b'\n', _) | (b'\r', Some(b'\n')) => Ok(None),
            _ => Err(Refused::Headers),
        }
    }
}

/// Where the header that begins at `start` ends: after a newline that no white space follows (RFC 3261 section
/// 7.3.1). `None`: not within the message.
#[inline(always)]
fn end_of_header(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        at += memchr::memchr(b'\n', message.get(at..)?)? + 1;
        if !matches!(message.get(at)?, b' ' | b'\t') {
            return Some(at);
        }
    }
}

/// A name in lower case, to be compared with the first octets of a line as one number.
#[derive(Clone, Copy)]
struct Spelling {
    /// The name, its first octet in the lowest bits.
    word: u64,
    /// All bits of the octets that it has.
    mask: u64,
    /// The bit by which its letters differ from capitals.
    case: u64,
}

const VIA: Spelling = Spelling::new(b"via");
const FROM: Spelling = Spelling::new(b"from");
const TO: Spelling = Spelling::new(b"to");
const CALL_ID: Spelling = Spelling::new(b"call-id");
const CSEQ: Spelling = Spelling::new(b"cseq");

impl Spelling {
    const fn new(name: &[u8]) -> Self {
        let (mut word, mut mask, mut case) = (0, 0, 0);
        let mut index = 0;
        while index < name.len() {
            word |= (name[index] as u64) << (8 * index);
            mask |= 0xff << (8 * index);
            if name[index].is_ascii_lowercase() {
                case |= 0x20 << (8 * index);
            }
            index += 1;
        }
        Self { word, mask, case }
    }
}

/// The eight octets from `at` on, the first in the lowest bits; zeros for those after the message's end.
#[inline(always)]
fn first_word(message: &[u8], at: usize) -> u64 {
    let rest = message.get(at..).unwrap_or_default();
    if let Some(octets) = rest.first_chunk() {
        return u64::from_le_bytes(*octets);
    }
    rest.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet))
}

/// The name at `start` and the offset of the colon after it. `None`: another header.
///
/// # Errors
///
/// The name is one of those that matter, but no colon follows.
#[inline(always)]
fn name(message: &[u8], start: usize) -> Result<Option<(Name, usize)>, Refused> {
    let word = first_word(message, start);
    let is = |name: Spelling| word & name.mask | name.case == name.word;
    let (name, len) = match word as u8 | 0x20 {
        b'v' => (Name::Via, if is(VIA) { 3 } else { 1 }),
        b'f' => (Name::From, if is(FROM) { 4 } else { 1 }),
        b't' => (Name::To, if is(TO) { 2 } else { 1 }),
        b'i' => (Name::CallId, 1),
        b'c' if is(CALL_ID) => (Name::CallId, 7),
        b'c' if is(CSEQ) => (Name::Cseq, 4),
        _ => return Ok(None),
    };
    let after = start + len;
    match message.get(after) {
        Some(b':') => Ok(Some((name, after))),
        // HCOLON: white space, but no fold, may stand before the colon.
        Some(b' ' | b'\t' | b'\r' | b'\n') => {
            let colon = skip(message, after, |octet| matches!(octet, b' ' | b'\t'));
            if message.get(colon) == Some(&b':') { Ok(Some((name, colon))) } else { Err(Refused::Headers) }
        }
        _ => Ok(None),
    }
}

#[inline(always)]
fn header(message: &[u8], name: Name, start: usize, colon: usize, end: usize) -> Header {
    let mut value_end = end;
    while value_end > colon + 1 && message.get(value_end - 1).is_some_and(|octet| is_white(*octet)) {
        value_end -= 1;
    }
    let value = skip(message.get(..value_end).unwrap_or_default(), colon + 1, is_white);
    Header { name, start, value, value_end, end }
}
