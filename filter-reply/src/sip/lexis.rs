//! Bytes and spans of a SIP message, in the classes of RFC 3261 section 25.1.

use filter_common::words::{Spelling, word};

use super::lanes::{Lanes, find, find_roughly};
use crate::byte_table::{ByteTable, byte_table};

/// A part of a message, by the offsets of its first byte and of the byte after its last.
///
/// 16 bits are enough: [`Request::parse`] accepts no message of more than 65 535 bytes.
///
/// [`Request::parse`]: super::request::Request::parse
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    #[inline(always)]
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start: start as u16, end: end as u16 }
    }

    #[inline(always)]
    pub(crate) const fn start(self) -> usize {
        self.start as usize
    }

    #[inline(always)]
    pub(crate) const fn end(self) -> usize {
        self.end as usize
    }

    #[inline(always)]
    pub(crate) const fn len(self) -> usize {
        self.end().saturating_sub(self.start())
    }

    /// Returns the bytes of this span of `message`, or none if the message is shorter.
    #[inline(always)]
    pub(crate) fn slice(self, message: &[u8]) -> &[u8] {
        message.get(self.start()..self.end()).unwrap_or_else(empty)
    }

    /// Returns whether this span of `message` is `name`, in any case.
    #[inline(always)]
    pub(crate) fn spells(self, message: &[u8], name: Spelling) -> bool {
        self.len() == name.len() && name.is_prefix_of(word(message, self.start()))
    }
}

/// Empty fallback for a lookup that never fails.
///
/// Cold and out of line, so that the compiler emits a branch and not a conditional move, which takes longer.
#[cold]
#[inline(never)]
const fn empty<'m>() -> &'m [u8] {
    &[]
}

// The classes of a byte, as bits.

const TOKEN: u8 = 1;
const HOST: u8 = 2;
const PLAIN: u8 = 4;
const DISPLAY: u8 = 8;

static CLASSES: ByteTable<u8> = byte_table!(classes);

const fn classes(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' => TOKEN | HOST | PLAIN | DISPLAY,
        b'!' | b'%' | b'*' | b'+' | b'`' | b'\'' | b'~' => TOKEN | PLAIN | DISPLAY,
        // No host of RFC 3261 has non-ASCII bytes, but they occur in host names, and are passed through.
        0x80.. => HOST | PLAIN | DISPLAY,
        b';' | b',' | b'"' | b'<' | b'>' | b'\\' => 0,
        0..=0x20 | 0x7f => DISPLAY,
        _ => PLAIN | DISPLAY,
    }
}

/// Returns whether a byte is part of a `token`.
#[inline(always)]
pub(crate) fn is_token(byte: u8) -> bool {
    CLASSES.get(byte) & TOKEN != 0
}

/// Returns whether a byte is part of a `hostname` or an `IPv4address`.
#[inline(always)]
fn is_host(byte: u8) -> bool {
    CLASSES.get(byte) & HOST != 0
}

/// Returns whether a byte is part of an unquoted parameter value: not white space, no control, none of `;,"<>\`.
#[inline(always)]
fn is_plain(byte: u8) -> bool {
    CLASSES.get(byte) & PLAIN != 0
}

/// Returns whether a byte is part of an unquoted display name, or of a URI without brackets.
#[inline(always)]
fn is_display(byte: u8) -> bool {
    CLASSES.get(byte) & DISPLAY != 0
}

/// Returns whether a byte is part of `LWS`. Within a header's value, a newline is always part of a fold.
#[inline(always)]
pub(crate) const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A message up to the end of a header's value. All offsets are those of the message.
///
/// The methods that skip bytes start at an offset up to the end of the value, and return an offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'m> {
    /// The whole message: a search may read beyond the value, so that it has 16 bytes to read.
    message: &'m [u8],
    text: &'m [u8],
}

impl<'m> Value<'m> {
    /// Creates a value that ends where `text` ends, which is the beginning of `message` and is followed by white space.
    #[inline(always)]
    pub(crate) const fn new(message: &'m [u8], text: &'m [u8]) -> Self {
        Self { message, text }
    }

    /// Returns the offset of the end of the value.
    #[inline(always)]
    pub(crate) const fn end(self) -> usize {
        self.text.len()
    }

    /// Returns the byte at an offset, or `None` if the value ends before it.
    #[inline(always)]
    pub(crate) fn get(self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// Returns the `LEN` bytes at an offset, or `None` if the value ends before their end.
    #[inline(always)]
    pub(crate) fn chunk<const LEN: usize>(self, at: usize) -> Option<&'m [u8; LEN]> {
        self.text.get(at..)?.first_chunk()
    }

    /// Returns the eight bytes at an offset as a [word], including those after the end of the value.
    #[inline(always)]
    pub(crate) fn word(self, at: usize) -> u64 {
        word(self.message, at)
    }

    /// Returns whether a span is `name`, in any case.
    #[inline(always)]
    pub(crate) fn spells(self, span: Span, name: Spelling) -> bool {
        span.spells(self.message, name)
    }

    /// Returns the bytes of a span.
    #[inline(always)]
    pub(crate) fn slice(self, span: Span) -> &'m [u8] {
        span.slice(self.text)
    }

    /// Skips the bytes that `is_skipped` accepts, up to the end of the value.
    #[inline(always)]
    pub(crate) fn skip(self, mut at: usize, is_skipped: impl Fn(u8) -> bool) -> usize {
        while self.get(at).is_some_and(&is_skipped) {
            at += 1;
        }
        at
    }

    /// Skips `LWS`.
    #[inline(always)]
    pub(crate) fn skip_white(self, at: usize) -> usize {
        self.skip(at, is_white)
    }

    // White space follows the value. It ends the next four searches, which therefore need no other bound.

    /// Skips digits.
    #[inline(always)]
    pub(crate) fn skip_digits(self, at: usize) -> usize {
        let is_no_digit = |lanes: Lanes| lanes.at_most(b'/').or(lanes.within(b':', 0xff));
        find(self.message, at, is_no_digit, |byte| !byte.is_ascii_digit())
    }

    /// Skips a `hostname` or an `IPv4address`.
    #[inline(always)]
    pub(crate) fn skip_host(self, at: usize) -> usize {
        find_roughly(self.message, at, may_end_host, |byte| !is_host(byte))
    }

    /// Skips an unquoted parameter value.
    #[inline(always)]
    pub(crate) fn skip_plain(self, at: usize) -> usize {
        find_roughly(self.message, at, may_end_plain, |byte| !is_plain(byte))
    }

    /// Skips the name of a parameter, which an equals sign ends.
    #[inline(always)]
    pub(crate) fn skip_name(self, at: usize) -> usize {
        find_roughly(self.message, at, may_end_plain, |byte| !is_plain(byte) || byte == b'=')
    }

    /// Skips an unquoted display name, or a URI without brackets.
    #[inline(always)]
    pub(crate) fn skip_display(self, at: usize) -> usize {
        find_roughly(self.message, at, may_end_display, |byte| !is_display(byte)).min(self.end())
    }

    /// Skips a URI and the `>` after it. Returns `None` if there is no `>`, or a `<` before it.
    #[inline(always)]
    pub(crate) fn skip_uri(self, at: usize) -> Option<usize> {
        let is_bracket = |lanes: Lanes| lanes.equal(b'>').or(lanes.equal(b'<'));
        let end = find(self.message, at, is_bracket, |byte| matches!(byte, b'>' | b'<'));
        (self.get(end)? == b'>').then_some(end + 1)
    }

    /// Skips a `quoted-string`. Returns `None` if it is not closed.
    #[inline(always)]
    pub(crate) fn skip_quoted(self, at: usize) -> Option<usize> {
        let mut at = at + 1;
        loop {
            let is_quote_or_backslash = |lanes: Lanes| lanes.equal(b'"').or(lanes.equal(b'\\'));
            at = find(self.message, at, is_quote_or_backslash, |byte| matches!(byte, b'"' | b'\\'));
            match self.get(at)? {
                b'"' => return Some(at + 1),
                _ => at += 2,
            }
        }
    }

    /// Skips a `comment`. Returns `None` if it is not closed.
    pub(crate) fn skip_comment(self, at: usize) -> Option<usize> {
        let mut depth = 0_usize;
        let mut at = at;
        loop {
            match self.get(at)? {
                b'(' => depth += 1,
                b')' if depth == 1 => return Some(at + 1),
                b')' => depth -= 1,
                b'\\' => at += 1,
                _ => {}
            }
            at += 1;
        }
    }
}

/// Selects the bytes that end a host, and the neighbours of the underscore.
#[inline(always)]
fn may_end_host(lanes: Lanes) -> Lanes {
    let below_letters = lanes.at_most(b',').or(lanes.equal(b'/')).or(lanes.within(b':', b'@'));
    below_letters.or(lanes.within(b'[', b'`')).or(lanes.within(b'{', 0x7f))
}

/// Selects the bytes that end a parameter's name or value, and some that are rare there.
#[inline(always)]
fn may_end_plain(lanes: Lanes) -> Lanes {
    // Setting the bits in which they differ makes a backslash and DEL equal.
    lanes.at_most(b',').or(lanes.within(b';', b'>')).or(lanes.with_bits(b'\\' ^ 0x7f).equal(0x7f))
}

/// Selects the bytes that end a display name or a URI without brackets, and some that are rare there.
#[inline(always)]
fn may_end_display(lanes: Lanes) -> Lanes {
    let quote_or_comma = lanes.equal(b'"').or(lanes.equal(b','));
    quote_or_comma.or(lanes.within(b';', b'>')).or(lanes.equal(b'\\'))
}

#[cfg(test)]
mod tests {
    use super::{Span, Spelling, Value, is_display, is_host, is_plain};

    /// Tries each byte at each place of a value, among others.
    #[test]
    fn sixteen_bytes_are_skipped_at_once_as_they_are_one_by_one() {
        for (byte, place) in (0..=u8::MAX).flat_map(|byte| (0..36).map(move |place| (byte, place))) {
            for filling in [b'a', b'7', b'='] {
                let mut message = vec![filling; 36];
                message[place] = byte;
                message.extend(b"\r\nCall-ID: 1");
                let value = Value::new(&message, &message[..36]);
                for at in [0, 1, 15, 16, 20, 35, 36] {
                    let context = || format!("{byte:#x} at {place}, from {at}, among {filling:#x}");
                    assert_eq!(value.skip_plain(at), value.skip(at, is_plain), "{}", context());
                    assert_eq!(
                        value.skip_name(at),
                        value.skip(at, |byte| is_plain(byte) && byte != b'='),
                        "{}",
                        context()
                    );
                    assert_eq!(value.skip_host(at), value.skip(at, is_host), "{}", context());
                    assert_eq!(value.skip_digits(at), value.skip(at, |byte| byte.is_ascii_digit()), "{}", context());
                    assert_eq!(value.skip_display(at), value.skip(at, is_display), "{}", context());
                }
            }
        }
    }

    #[test]
    fn span_spells_a_name_in_any_case_and_of_the_same_length() {
        for name in ["tag", "rport", "branch", "received", "sip/2.0"] {
            let spelling = Spelling::new(name.as_bytes());
            for (place, byte) in (0..name.len()).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
                let mut message = name.to_ascii_uppercase().into_bytes();
                message[place] = byte;
                let is_same = message.eq_ignore_ascii_case(name.as_bytes());
                let span = Span::new(0, name.len());
                assert_eq!(span.spells(&message, spelling), is_same, "{}", message.escape_ascii());
                message.extend(b"a");
                assert_eq!(span.spells(&message, spelling), is_same, "{}", message.escape_ascii());
                assert!(!Span::new(0, name.len() + 1).spells(&message, spelling));
            }
        }
    }
}
