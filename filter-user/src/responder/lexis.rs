//! Octets and spans of a SIP message, as RFC 3261 section 25.1 classes them.

use super::lanes::{Lanes, find};

/// A part of a message, by the offsets of its first octet and of the one after its last.
///
/// Two octets each are enough: a UDP payload is shorter than 65 536 octets, as [`Request::parse`] makes sure.
///
/// [`Request::parse`]: super::request::Request::parse
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    #[inline(always)]
    pub(super) const fn new(start: usize, end: usize) -> Self {
        Self { start: start as u16, end: end as u16 }
    }

    #[inline(always)]
    pub(super) const fn start(self) -> usize {
        self.start as usize
    }

    #[inline(always)]
    pub(super) const fn end(self) -> usize {
        self.end as usize
    }

    /// The octets of `message` there; none, should it be shorter.
    #[inline(always)]
    pub(super) fn of(self, message: &[u8]) -> &[u8] {
        message.get(self.start()..self.end()).unwrap_or_default()
    }
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
pub(super) fn is_token(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & TOKEN != 0
}

/// An octet of a `hostname` or `IPv4address`.
#[inline(always)]
pub(super) fn is_host(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & HOST != 0
}

/// An octet that goes on with a parameter's value, `=` included: neither white space nor a separator nor a control.
#[inline(always)]
pub(super) fn is_plain(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & PLAIN != 0
}

/// An octet that goes on with what comes before the URI of a From or To header, or with a URI without brackets.
#[inline(always)]
pub(super) fn is_display(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & DISPLAY != 0
}

/// An octet of `LWS`. Within a header's value a newline is always part of a fold.
#[inline(always)]
pub(super) const fn is_white(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// A message up to the end of a header's value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'m> {
    /// All of the message: what follows the value may be looked at, so that there are sixteen octets to look at.
    message: &'m [u8],
    text: &'m [u8],
}

impl<'m> Value<'m> {
    /// The text of `message` up to the offset `end`, at which white space follows.
    #[inline(always)]
    pub(super) fn new(message: &'m [u8], end: usize) -> Self {
        Self { message, text: message.get(..end).unwrap_or_default() }
    }

    /// The offset of the value's end.
    #[inline(always)]
    pub(super) const fn end(self) -> usize {
        self.text.len()
    }

    /// The octet at an offset. `None`: the value has ended before it.
    #[inline(always)]
    pub(super) fn get(self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The octets from an offset to the end of the value.
    #[inline(always)]
    pub(super) fn from(self, at: usize) -> &'m [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    /// The octets at an offset, as many as `LEN`. `None`: the value has ended before.
    #[inline(always)]
    pub(super) fn chunk<const LEN: usize>(self, at: usize) -> Option<&'m [u8; LEN]> {
        self.text.get(at..)?.first_chunk()
    }

    /// The octets of a span.
    #[inline(always)]
    pub(super) fn of(self, span: Span) -> &'m [u8] {
        span.of(self.text)
    }

    /// The first offset from `at` on that has no octet of the kind `is`; at most the value's end, if `at` is.
    #[inline(always)]
    pub(super) fn skip(self, mut at: usize, is: impl Fn(u8) -> bool) -> usize {
        while self.get(at).is_some_and(&is) {
            at += 1;
        }
        at
    }

    /// The first offset from `at` on that has no `LWS`.
    #[inline(always)]
    pub(super) fn skip_white(self, at: usize) -> usize {
        self.skip(at, is_white)
    }

    /// The first offset from `at` on that has no octet of a parameter's value ([`is_plain`]). White space is none.
    #[inline(always)]
    pub(super) fn skip_plain(self, at: usize) -> usize {
        find(self.message, at, is_not_plain, |octet| !is_plain(octet))
    }

    /// The same for a parameter's name, which an equals sign ends too.
    #[inline(always)]
    pub(super) fn skip_name(self, at: usize) -> usize {
        find(
            self.message,
            at,
            |lanes| is_not_plain(lanes).or(lanes.is(b'=')),
            |octet| !is_plain(octet) || octet == b'=',
        )
    }

    /// The same for what comes before the URI of a From or To header ([`is_display`]).
    #[inline(always)]
    pub(super) fn skip_display(self, at: usize) -> usize {
        find(self.message, at, is_separator, |octet| !is_display(octet)).min(self.end())
    }

    /// The offset after the `>` that ends the URI at `at`. `None`: there is none, or a `<` before it.
    #[inline(always)]
    pub(super) fn skip_uri(self, at: usize) -> Option<usize> {
        let end =
            find(self.message, at, |lanes| lanes.is(b'>').or(lanes.is(b'<')), |octet| matches!(octet, b'>' | b'<'));
        (self.get(end)? == b'>').then_some(end + 1)
    }

    /// The offset after the `quoted-string` that begins at `at`. `None`: it has no end.
    #[inline(always)]
    pub(super) fn skip_quoted(self, at: usize) -> Option<usize> {
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
    pub(super) fn skip_comment(self, at: usize) -> Option<usize> {
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

#[inline(always)]
fn is_not_plain(lanes: Lanes) -> Lanes {
    is_separator(lanes).or(lanes.is_at_most(0x20)).or(lanes.is(0x7f))
}

#[inline(always)]
fn is_separator(lanes: Lanes) -> Lanes {
    let of_lists = lanes.is(b';').or(lanes.is(b','));
    of_lists.or(lanes.is(b'<')).or(lanes.is(b'>')).or(lanes.is(b'"')).or(lanes.is(b'\\'))
}
