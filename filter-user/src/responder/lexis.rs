//! Octets and spans of a SIP message, as RFC 3261 section 25.1 classes them.

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

/// The first offset from `at` on where `text` has no octet of the kind `is`; at most the text's length, if `at` is.
#[inline(always)]
pub(super) fn skip(text: &[u8], mut at: usize, is: impl Fn(u8) -> bool) -> usize {
    while text.get(at).is_some_and(|octet| is(*octet)) {
        at += 1;
    }
    at
}

/// The offset after the `quoted-string` that begins at `at`. `None`: it has no end.
pub(super) fn skip_quoted(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The offset after the `comment` that begins at `at`. `None`: it has no end.
pub(super) fn skip_comment(text: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = at;
    loop {
        match text.get(at)? {
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at + 1),
            b')' => depth -= 1,
            b'\\' => at += 1,
            _ => {}
        }
        at += 1;
    }
}
