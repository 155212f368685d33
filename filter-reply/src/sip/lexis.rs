//! Octets and spans of a SIP message, as RFC 3261 section 25.1 classes them.

use super::lanes::{Lanes, find, find_roughly};

/// A part of a message, by the offsets of its first octet and of the one after its last.
///
/// Two octets each are enough: a UDP payload is shorter than 65 536 octets, as [`Request::parse`] makes sure.
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

    /// The octets of `message` there; none, should it be shorter.
    #[inline(always)]
    pub(crate) fn of(self, message: &[u8]) -> &[u8] {
        message.get(self.start()..self.end()).unwrap_or_else(nothing)
    }
}

/// No octets, for where there always are some: a call, lest compilers select one of two slices, which takes longer.
#[cold]
#[inline(never)]
pub(crate) const fn nothing<'m>() -> &'m [u8] {
    &[]
}

const TOKEN: u8 = 1;
const HOST: u8 = 2;
const PLAIN: u8 = 4;
const DISPLAY: u8 = 8;

static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < table.len() {
        table[octet] = classes(octet as u8);
        octet += 1;
    }
    table
};

const fn classes(octet: u8) -> u8 {
    match octet {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' => TOKEN | HOST | PLAIN | DISPLAY,
        b'!' | b'%' | b'*' | b'+' | b'`' | b'\'' | b'~' => TOKEN | PLAIN | DISPLAY,
        // Not ASCII: no host of RFC 3261, but seen in names; passed through.
        0x80.. => HOST | PLAIN | DISPLAY,
        b';' | b',' | b'"' | b'<' | b'>' | b'\\' => 0,
        0..=0x20 | 0x7f => DISPLAY,
        _ => PLAIN | DISPLAY,
    }
}

/// An octet of a `token`.
#[inline(always)]
pub(crate) fn is_token(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & TOKEN != 0
}

/// An octet of a `hostname` or `IPv4address`.
#[inline(always)]
pub(crate) fn is_host(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & HOST != 0
}

/// An octet that goes on with a parameter's value, `=` included: neither white space nor a separator nor a control.
#[inline(always)]
pub(crate) fn is_plain(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & PLAIN != 0
}

/// An octet that goes on with what comes before the URI of a From or To header, or with a URI without brackets.
#[inline(always)]
pub(crate) fn is_display(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & DISPLAY != 0
}

/// An octet of `LWS`. Within a header's value a newline is always part of a fold.
#[inline(always)]
pub(crate) const fn is_white(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// The eight octets of `message` from `at` on, the first in the lowest bits; zeros for those after the message's end.
#[inline(always)]
pub(crate) fn word(message: &[u8], at: usize) -> u64 {
    match message.get(at..at.wrapping_add(8)).and_then(<[u8]>::first_chunk) {
        Some(octets) => u64::from_le_bytes(*octets),
        None => last_word(message, at),
    }
}

#[cold]
#[inline(never)]
fn last_word(message: &[u8], at: usize) -> u64 {
    message.get(at..).unwrap_or_default().iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet))
}

/// A name of up to eight octets, in lower case, to be compared with the octets of a message as one number.
#[derive(Clone, Copy)]
pub(crate) struct Spelling {
    /// The name, its first octet in the lowest bits.
    word: u64,
    /// All bits of the octets that it has.
    mask: u64,
    /// The bit by which its letters differ from capitals.
    case: u64,
    len: usize,
}

impl Spelling {
    pub(crate) const fn new(name: &[u8]) -> Self {
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
        Self { word, mask, case, len: name.len() }
    }

    /// How many octets it has.
    pub(crate) const fn len(self) -> usize {
        self.len
    }

    /// Whether the octets of `word` begin with the name, in any case.
    #[inline(always)]
    pub(crate) const fn begins(self, word: u64) -> bool {
        word & self.mask | self.case == self.word
    }

    /// Whether the octets of `word` begin with the name, in any case, and a colon; the name has at most seven octets.
    #[inline(always)]
    pub(crate) const fn begins_with_colon(self, word: u64) -> bool {
        let with_colon = Self {
            word: self.word | (b':' as u64) << (8 * self.len),
            mask: self.mask | 0xff << (8 * self.len),
            ..self
        };
        with_colon.begins(word)
    }

    /// Whether the octets of `message` at `span` are the name, in any case.
    #[inline(always)]
    pub(crate) fn is_at(self, message: &[u8], span: Span) -> bool {
        span.len() == self.len && self.begins(word(message, span.start()))
    }
}

/// A message up to the end of a header's value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'m> {
    /// All of the message: what follows the value may be looked at, so that there are sixteen octets to look at.
    message: &'m [u8],
    text: &'m [u8],
}

impl<'m> Value<'m> {
    /// The beginning `text` of `message`, after which white space follows.
    #[inline(always)]
    pub(crate) const fn new(message: &'m [u8], text: &'m [u8]) -> Self {
        Self { message, text }
    }

    /// The offset of the value's end.
    #[inline(always)]
    pub(crate) const fn end(self) -> usize {
        self.text.len()
    }

    /// The octet at an offset. `None`: the value has ended before it.
    #[inline(always)]
    pub(crate) fn get(self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The octets from an offset to the end of the value.
    #[inline(always)]
    pub(crate) fn from(self, at: usize) -> &'m [u8] {
        self.text.get(at..).unwrap_or_else(nothing)
    }

    /// The octets at an offset, as many as `LEN`. `None`: the value has ended before.
    #[inline(always)]
    pub(crate) fn chunk<const LEN: usize>(self, at: usize) -> Option<&'m [u8; LEN]> {
        self.text.get(at..)?.first_chunk()
    }

    /// The eight octets at an offset, as [`word`] has them: the value may have ended before.
    #[inline(always)]
    pub(crate) fn word(self, at: usize) -> u64 {
        word(self.message, at)
    }

    /// Whether the octets of a span are `name`, in any case.
    #[inline(always)]
    pub(crate) fn has(self, span: Span, name: Spelling) -> bool {
        name.is_at(self.message, span)
    }

    /// The octets of a span.
    #[inline(always)]
    pub(crate) fn of(self, span: Span) -> &'m [u8] {
        span.of(self.text)
    }

    /// The first offset from `at` on that has no octet of the kind `is`; at most the value's end, if `at` is.
    #[inline(always)]
    pub(crate) fn skip(self, mut at: usize, is: impl Fn(u8) -> bool) -> usize {
        while self.get(at).is_some_and(&is) {
            at += 1;
        }
        at
    }

    /// The first offset from `at` on that has no `LWS`.
    #[inline(always)]
    pub(crate) fn skip_white(self, at: usize) -> usize {
        self.skip(at, is_white)
    }

    /// The first offset from `at` on that has no digit. White space is none.
    #[inline(always)]
    pub(crate) fn skip_digits(self, at: usize) -> usize {
        let is_digit = |octet: u8| octet.is_ascii_digit();
        find(self.message, at, |lanes| lanes.is_at_most(b'/').or(lanes.is_within(b':', 0xff)), |octet| !is_digit(octet))
    }

    /// The same for an octet of a host ([`is_host`]).
    #[inline(always)]
    pub(crate) fn skip_host(self, at: usize) -> usize {
        find_roughly(self.message, at, may_end_host, |octet| !is_host(octet))
    }

    /// The first offset from `at` on that has no octet of a parameter's value ([`is_plain`]). White space is none.
    #[inline(always)]
    pub(crate) fn skip_plain(self, at: usize) -> usize {
        find_roughly(self.message, at, may_end_plain, |octet| !is_plain(octet))
    }

    /// The same for a parameter's name, which an equals sign ends too.
    #[inline(always)]
    pub(crate) fn skip_name(self, at: usize) -> usize {
        find_roughly(self.message, at, may_end_plain, |octet| !is_plain(octet) || octet == b'=')
    }

    /// The same for what comes before the URI of a From or To header ([`is_display`]).
    #[inline(always)]
    pub(crate) fn skip_display(self, at: usize) -> usize {
        find_roughly(self.message, at, may_end_display, |octet| !is_display(octet)).min(self.end())
    }

    /// The offset after the `>` that ends the URI at `at`. `None`: there is none, or a `<` before it.
    #[inline(always)]
    pub(crate) fn skip_uri(self, at: usize) -> Option<usize> {
        let end =
            find(self.message, at, |lanes| lanes.is(b'>').or(lanes.is(b'<')), |octet| matches!(octet, b'>' | b'<'));
        (self.get(end)? == b'>').then_some(end + 1)
    }

    /// The offset after the `quoted-string` that begins at `at`. `None`: it has no end.
    #[inline(always)]
    pub(crate) fn skip_quoted(self, at: usize) -> Option<usize> {
        let mut at = at + 1;
        loop {
            at = find(
                self.message,
                at,
                |lanes| lanes.is(b'"').or(lanes.is(b'\\')),
                |octet| matches!(octet, b'"' | b'\\'),
            );
            match self.get(at)? {
                b'"' => return Some(at + 1),
                _ => at += 2,
            }
        }
    }

    /// The offset after the `comment` that begins at `at`. `None`: it has no end.
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

/// Which octets may end a host: all that do, and those beside the underscore.
#[inline(always)]
fn may_end_host(lanes: Lanes) -> Lanes {
    let below_letters = lanes.is_at_most(b',').or(lanes.is(b'/')).or(lanes.is_within(b':', b'@'));
    below_letters.or(lanes.is_within(b'[', b'`')).or(lanes.is_within(b'{', 0x7f))
}

/// Which octets may end a parameter's name or value: all that do, and some that seldom stand there.
#[inline(always)]
fn may_end_plain(lanes: Lanes) -> Lanes {
    // Of the backslash and DEL, these are the bits in which they differ.
    lanes.is_at_most(b',').or(lanes.is_within(b';', b'>')).or(lanes.with_bits(b'\\' ^ 0x7f).is(0x7f))
}

/// Which octets may end what comes before a URI: all that do, and some others.
#[inline(always)]
fn may_end_display(lanes: Lanes) -> Lanes {
    let quote_or_comma = lanes.is(b'"').or(lanes.is(b','));
    quote_or_comma.or(lanes.is_within(b';', b'>')).or(lanes.is(b'\\'))
}

#[cfg(test)]
mod tests {
    use super::{Span, Spelling, Value, is_display, is_host, is_plain};

    /// Each octet, at each place of a value, with others before it and after it: sixteen at a time as one at a time.
    #[test]
    fn what_is_skipped_is_what_is_skipped_octet_by_octet() {
        for (octet, place) in (0..=u8::MAX).flat_map(|octet| (0..36).map(move |place| (octet, place))) {
            for filling in [b'a', b'7', b'='] {
                let mut message = vec![filling; 36];
                message[place] = octet;
                message.extend(b"\r\nCall-ID: 1");
                let value = Value::new(&message, &message[..36]);
                for at in [0, 1, 15, 16, 20, 35, 36] {
                    let context = || format!("{octet:#x} at {place}, from {at}, among {filling:#x}");
                    assert_eq!(value.skip_plain(at), value.skip(at, is_plain), "{}", context());
                    assert_eq!(
                        value.skip_name(at),
                        value.skip(at, |octet| is_plain(octet) && octet != b'='),
                        "{}",
                        context()
                    );
                    assert_eq!(value.skip_host(at), value.skip(at, is_host), "{}", context());
                    assert_eq!(value.skip_digits(at), value.skip(at, |octet| octet.is_ascii_digit()), "{}", context());
                    assert_eq!(value.skip_display(at), value.skip(at, is_display), "{}", context());
                }
            }
        }
    }

    #[test]
    fn a_spelling_is_told_in_any_case_and_by_its_length() {
        for name in ["tag", "rport", "branch", "received", "sip/2.0"] {
            let spelling = Spelling::new(name.as_bytes());
            for (place, octet) in (0..name.len()).flat_map(|place| (0..=u8::MAX).map(move |octet| (place, octet))) {
                let mut message = name.to_ascii_uppercase().into_bytes();
                message[place] = octet;
                let is_same = message.eq_ignore_ascii_case(name.as_bytes());
                assert_eq!(spelling.is_at(&message, Span::new(0, name.len())), is_same, "{}", message.escape_ascii());
                message.extend(b"a");
                assert_eq!(spelling.is_at(&message, Span::new(0, name.len())), is_same, "{}", message.escape_ascii());
                assert!(!spelling.is_at(&message, Span::new(0, name.len() + 1)));
            }
        }
    }
}
