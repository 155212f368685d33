//! The header lines of a message, of which only those are told apart that a response repeats.

use super::lexis::{Span, Spelling, Value, is_white, word};
use crate::Unanswered;

/// The headers that a response repeats (RFC 3261 section 8.2.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Via,
    From,
    To,
    CallId,
    Cseq,
}

const VIA: Spelling = Spelling::new(b"via");
const FROM: Spelling = Spelling::new(b"from");
const TO: Spelling = Spelling::new(b"to");
const CALL_ID: Spelling = Spelling::new(b"call-id");
const CSEQ: Spelling = Spelling::new(b"cseq");

/// The name at `start` and the offset of the colon after it. `None`: another header.
///
/// # Errors
///
/// The name is one of those that matter, but no colon follows.
#[inline(always)]
pub(crate) fn name(message: &[u8], start: usize) -> Result<Option<(Name, usize)>, Unanswered> {
    /// Of Contact, Content-Length, Content-Type and others.
    const FREQUENT: Spelling = Spelling::new(b"con");

    let word = word(message, start);
    let usual = if FREQUENT.begins(word) {
        return Ok(None);
    } else if VIA.begins_with_colon(word) {
        (Name::Via, VIA)
    } else if FROM.begins_with_colon(word) {
        (Name::From, FROM)
    } else if TO.begins_with_colon(word) {
        (Name::To, TO)
    } else if CALL_ID.begins_with_colon(word) {
        (Name::CallId, CALL_ID)
    } else if CSEQ.begins_with_colon(word) {
        (Name::Cseq, CSEQ)
    } else {
        return unusual_name(message, start, word);
    };
    Ok(Some((usual.0, start + usual.1.len())))
}

/// The same for a short name, for white space before the colon, and for what only begins like a name that matters.
#[inline(never)]
fn unusual_name(message: &[u8], start: usize, word: u64) -> Result<Option<(Name, usize)>, Unanswered> {
    let len = |long: Spelling| if long.begins(word) { long.len() } else { 1 };
    let (name, len) = match word as u8 | 0x20 {
        b'v' => (Name::Via, len(VIA)),
        b'f' => (Name::From, len(FROM)),
        b't' => (Name::To, len(TO)),
        b'i' => (Name::CallId, 1),
        b'c' if CALL_ID.begins(word) => (Name::CallId, CALL_ID.len()),
        b'c' if CSEQ.begins(word) => (Name::Cseq, CSEQ.len()),
        _ => return Ok(None),
    };
    let after = start + len;
    match message.get(after) {
        Some(b':') => Ok(Some((name, after))),
        // HCOLON: white space, but no fold, may stand before the colon.
        Some(b' ' | b'\t' | b'\r' | b'\n') => {
            let colon = Value::new(message, message).skip(after, |octet| matches!(octet, b' ' | b'\t'));
            if message.get(colon) == Some(&b':') { Ok(Some((name, colon))) } else { Err(Unanswered::Headers) }
        }
        _ => Ok(None),
    }
}

/// The message up to where the value of the header ends that `line` has, before the white space that may follow it, and
/// where the value begins: behind `colon` and the white space there. It does not end before it begins.
#[inline(always)]
pub(crate) fn value(message: &[u8], line: Span, colon: usize) -> (Value<'_>, usize) {
    // Nearly always a line ends in CRLF, without white space before it.
    let is_usual =
        |text: &[u8], rest: &[u8]| rest.first_chunk() == Some(b"\r\n") && text.last().is_some_and(|last| *last > b' ');
    let text = match message.split_at_checked(line.end() - 2) {
        Some((text, rest)) if is_usual(text, rest) => text,
        _ => before_white_space(message, line, colon),
    };
    let text = Value::new(message, text);
    // And it has one space after the colon.
    let usual = colon + 2;
    if message.get(usual).is_some_and(|first| *first > b' ') && message.get(colon + 1) == Some(&b' ') {
        (text, usual)
    } else {
        (text, text.skip_white(colon + 1))
    }
}

/// The same up to where the value ends, whatever white space follows it.
#[cold]
fn before_white_space(message: &[u8], line: Span, colon: usize) -> &[u8] {
    let mut end = line.end();
    while end > colon + 1 && message.get(end - 1).is_some_and(|octet| is_white(*octet)) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Name, before_white_space, name, unusual_name, value};
    use crate::sip::lexis::{Span, Value, word};

    /// Texts of up to six of `octets`.
    fn texts(octets: &[u8]) -> Vec<Vec<u8>> {
        let mut texts = vec![vec![]];
        let mut longest = 0;
        for _ in 0..6 {
            let next: Vec<Vec<u8>> = texts[longest..]
                .iter()
                .flat_map(|text| octets.iter().map(|octet| [&text[..], &[*octet]].concat()))
                .collect();
            longest = texts.len();
            texts.extend(next);
        }
        texts
    }

    #[test]
    fn the_usual_white_space_around_a_value_is_like_any_other() {
        for text in texts(b" \t\r\na") {
            let message = [b"\r\nTo:", &text[..], b"\nCSeq: 1 INVITE\r\n\r\n"].concat();
            let (line, colon) = (Span::new(2, 6 + text.len()), 4);
            let expected = Value::new(&message, before_white_space(&message, line, colon));
            let start = expected.skip_white(colon + 1);
            let (found, found_start) = value(&message, line, colon);
            assert_eq!((found.end(), found_start), (expected.end(), start), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn the_usual_names_are_like_any_other() {
        for known in ["Via", "FROM", "to", "cAlL-iD", "CSeq", "Contact", "v", "f", "t", "i", "c", "Content-Length"] {
            for text in texts(b": \ta") {
                let message = [known.as_bytes(), &text, b" 1\r\n"].concat();
                let slow = unusual_name(&message, 0, word(&message, 0));
                assert_eq!(name(&message, 0), slow, "{}", message.escape_ascii());
            }
        }
        assert_eq!(name(b"Via: SIP/2.0/UDP h", 0), Ok(Some((Name::Via, 3))));
    }
}
