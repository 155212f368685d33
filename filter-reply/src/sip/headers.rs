//! Names and values of header lines: the name of a header that a response repeats, and the bounds of its value.

use filter_common::words::{Spelling, word};

use super::lexis::{Span, Value, is_white};
use crate::Unanswered;

/// A header that a response repeats (RFC 3261 section 8.2.6.2).
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

/// Parses the name of the header line at `start`. Returns the header and the offset of its colon, or `None` for other
/// headers.
///
/// # Errors
///
/// [`Unanswered::Headers`] if white space but no colon follows `To`: only with all To headers is it certain that there
/// is no tag. Other lines without a colon are skipped, as any line that no response needs.
#[inline(always)]
pub(crate) fn name(message: &[u8], start: usize) -> Result<Option<(Name, usize)>, Unanswered> {
    /// The beginning of Contact, Content-Length, Content-Type and others, which are frequent.
    const CON: Spelling = Spelling::new(b"con");

    let word = word(message, start);
    let (name, spelling) = if CON.is_prefix_of(word) {
        return Ok(None);
    } else if VIA.with_colon().is_prefix_of(word) {
        (Name::Via, VIA)
    } else if FROM.with_colon().is_prefix_of(word) {
        (Name::From, FROM)
    } else if TO.with_colon().is_prefix_of(word) {
        (Name::To, TO)
    } else if CALL_ID.with_colon().is_prefix_of(word) {
        (Name::CallId, CALL_ID)
    } else if CSEQ.with_colon().is_prefix_of(word) {
        (Name::Cseq, CSEQ)
    } else {
        return unusual_name(message, start, word);
    };
    Ok(Some((name, start + spelling.len())))
}

/// Parses the names that [`name`] does not: compact names, names with white space before the colon, and names that only
/// begin like one of these.
#[inline(never)]
fn unusual_name(message: &[u8], start: usize, word: u64) -> Result<Option<(Name, usize)>, Unanswered> {
    let len = |long: Spelling| if long.is_prefix_of(word) { long.len() } else { 1 };
    let (name, len) = match word as u8 | 0x20 {
        b'v' => (Name::Via, len(VIA)),
        b'f' => (Name::From, len(FROM)),
        b't' => (Name::To, len(TO)),
        b'i' => (Name::CallId, 1),
        b'c' if CALL_ID.is_prefix_of(word) => (Name::CallId, CALL_ID.len()),
        b'c' if CSEQ.is_prefix_of(word) => (Name::Cseq, CSEQ.len()),
        _ => return Ok(None),
    };
    let after = start + len;
    match message.get(after) {
        Some(b':') => Ok(Some((name, after))),
        // HCOLON allows white space before the colon, but no fold.
        Some(b' ' | b'\t' | b'\r' | b'\n') => {
            let colon = Value::new(message, message).skip(after, |byte| matches!(byte, b' ' | b'\t'));
            match message.get(colon) {
                Some(b':') => Ok(Some((name, colon))),
                _ if name == Name::To => Err(Unanswered::Headers),
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// Returns the message up to the end of the value of `line`, and the offset at which the value begins.
///
/// The value excludes the white space after `colon` and at the end of the line. It does not end before it begins.
#[inline(always)]
pub(crate) fn value(message: &[u8], line: Span, colon: usize) -> (Value<'_>, usize) {
    // Nearly all lines end in CRLF without white space before it.
    let is_usual =
        |text: &[u8], rest: &[u8]| rest.first_chunk() == Some(b"\r\n") && text.last().is_some_and(|last| *last > b' ');
    let text = match message.split_at_checked(line.end() - 2) {
        Some((text, rest)) if is_usual(text, rest) => text,
        _ => trim_end(message, line, colon),
    };
    let text = Value::new(message, text);
    // Nearly all have one space after the colon.
    let usual = colon + 2;
    if message.get(usual).is_some_and(|first| *first > b' ') && message.get(colon + 1) == Some(&b' ') {
        (text, usual)
    } else {
        (text, text.skip_white(colon + 1))
    }
}

/// Returns the message up to the end of the value, without the white space at the end of `line`.
#[cold]
fn trim_end(message: &[u8], line: Span, colon: usize) -> &[u8] {
    let mut end = line.end();
    while end > colon + 1 && message.get(end - 1).is_some_and(|byte| is_white(*byte)) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use filter_common::words::word;

    use super::{Name, name, trim_end, unusual_name, value};
    use crate::sip::lexis::{Span, Value};

    /// Returns all texts of up to six of `bytes`.
    fn texts(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut texts = vec![vec![]];
        let mut longest = 0;
        for _ in 0..6 {
            let next: Vec<Vec<u8>> = texts[longest..]
                .iter()
                .flat_map(|text| bytes.iter().map(|byte| [&text[..], &[*byte]].concat()))
                .collect();
            longest = texts.len();
            texts.extend(next);
        }
        texts
    }

    #[test]
    fn usual_white_space_around_a_value_is_skipped_like_any_other() {
        for text in texts(b" \t\r\na") {
            let message = [b"\r\nTo:", &text[..], b"\nCSeq: 1 INVITE\r\n\r\n"].concat();
            let (line, colon) = (Span::new(2, 6 + text.len()), 4);
            let expected = Value::new(&message, trim_end(&message, line, colon));
            let start = expected.skip_white(colon + 1);
            let (found, found_start) = value(&message, line, colon);
            assert_eq!((found.end(), found_start), (expected.end(), start), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn usual_header_names_are_parsed_like_any_other() {
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
