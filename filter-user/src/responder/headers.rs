//! The header lines of a message, of which only those are told apart that a response repeats.

use super::Refused;
use super::lexis::{Span, Value, is_white};

/// The headers that a response repeats (RFC 3261 section 8.2.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Via,
    From,
    To,
    CallId,
    Cseq,
}

/// A header, with the lines that continue it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'m> {
    pub(super) name: Name,
    /// The message up to where the value ends: before the white space that may follow it. Not before `value`.
    pub(super) text: Value<'m>,
    /// Where the value begins: after the colon and the white space behind it.
    pub(super) value: usize,
}

impl<'m> Header<'m> {
    /// The header that begins `line`. `None`: one that does not matter.
    ///
    /// # Errors
    ///
    /// The name is one of those that matter, but no colon follows.
    #[inline(always)]
    pub(super) fn read(message: &'m [u8], line: Span) -> Result<Option<Self>, Refused> {
        let name = name(message, line.start())?;
        Ok(name.map(|(name, colon)| header(message, name, line, colon)))
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
    match rest.first_chunk() {
        Some(octets) => u64::from_le_bytes(*octets),
        None => last_word(rest),
    }
}

#[cold]
#[inline(never)]
fn last_word(octets: &[u8]) -> u64 {
    octets.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet))
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
            let colon = Value::new(message, message.len()).skip(after, |octet| matches!(octet, b' ' | b'\t'));
            if message.get(colon) == Some(&b':') { Ok(Some((name, colon))) } else { Err(Refused::Headers) }
        }
        _ => Ok(None),
    }
}

#[inline(always)]
fn header(message: &[u8], name: Name, line: Span, colon: usize) -> Header<'_> {
    let mut end = line.end();
    while end > colon + 1 && message.get(end - 1).is_some_and(|octet| is_white(*octet)) {
        end -= 1;
    }
    let text = Value::new(message, end);
    Header { name, text, value: text.skip_white(colon + 1) }
}
