//! The parameters of a Via, From or To header: `*( SEMI generic-param )` (RFC 3261 section 25.1).

use filter_common::words::Spelling;

use super::lexis::{Span, Value};

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    pub(crate) name: Span,
    pub(crate) slot: Slot,
}

/// The place of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The value with its quotes; empty, at the place where a value belongs, if there is none.
    pub(crate) value: Span,
    /// True if there is an equals sign.
    pub(crate) has_equals: bool,
}

impl Slot {
    /// Returns whether there is no value, or a quoted one of no bytes, which for Kamailio is the same.
    #[inline(always)]
    pub(crate) fn is_empty(self, text: Value<'_>) -> bool {
        matches!(text.slice(self.value), b"" | b"\"\"")
    }
}

/// The error of a value that does not conform to the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Parses parameters up to the end of the header's value, or to the comma that ends this element of a list.
///
/// Stricter than some parsers: an empty parameter (`;;`) is an error. Laxer than the grammar: a name may have any bytes
/// but separators, and a comment may follow the last parameter, as in the Via of RFC 2543 section 6.40.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<'m> {
    text: Value<'m>,
    /// Offset of the next parameter, or of the white space before it.
    at: usize,
    /// Offset of the end of the last parameter.
    end: usize,
}

impl<'m> Params<'m> {
    /// Creates a parser of the parameters from offset `at` to the end of `text`.
    #[inline(always)]
    pub(crate) const fn new(text: Value<'m>, at: usize) -> Self {
        Self { text, at, end: at }
    }

    /// Returns the offset at which a parameter can be added: after the last one, before a comment.
    #[inline(always)]
    pub(crate) const fn end(&self) -> usize {
        self.end
    }

    /// Returns the offset at which the parser is: after the last parameter, at the comma or at the end of the value.
    #[inline(always)]
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// Parses the next parameter. Returns `None` if there are no more.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Param>, Malformed> {
        if self.text.get(self.at) != Some(b';') {
            if self.at == self.text.end() {
                return Ok(None);
            }
            self.at = skip_to_semicolon(self.text, self.at)?;
            if self.text.get(self.at) != Some(b';') {
                return Ok(None);
            }
        }
        self.param(self.at + 1).map(Some)
    }

    /// Parses the next parameter if it begins with `start`, which is `;name=`, and has an unquoted value right after
    /// that.
    ///
    /// Most do. Returns `None` for all others, which [`next`](Self::next) parses.
    #[inline(always)]
    pub(crate) fn next_if_usual(&mut self, start: Spelling) -> Option<Slot> {
        if !start.is_prefix_of(self.text.word(self.at)) {
            return None;
        }
        let value = self.at + start.len();
        let end = self.text.skip_plain(value);
        if end == value {
            return None;
        }
        (self.at, self.end) = (end, end);
        Some(Slot { value: Span::new(value, end), has_equals: true })
    }

    /// Parses the parameter at offset `at`, which is after its semicolon.
    #[inline(always)]
    fn param(&mut self, at: usize) -> Result<Param, Malformed> {
        let (start, end) = self.skip_white_and(at, Value::skip_name);
        if start == end {
            return Err(Malformed);
        }
        let name = Span::new(start, end);
        let equals = if self.text.get(end) == Some(b'=') { end } else { self.text.skip_white(end) };
        if self.text.get(equals) != Some(b'=') {
            self.at = end;
            self.end = end;
            return Ok(Param { name, slot: Slot { value: Span::new(end, end), has_equals: false } });
        }
        let (value, mut end) = self.skip_white_and(equals + 1, Value::skip_plain);
        if value == end && self.text.get(value) == Some(b'"') {
            end = self.text.skip_quoted(value).ok_or(Malformed)?;
        }
        // An empty value belongs right after the equals sign, before white space that may end the line.
        let value = if value == end { Span::new(equals + 1, equals + 1) } else { Span::new(value, end) };
        self.at = value.end();
        self.end = value.end();
        Ok(Param { name, slot: Slot { value, has_equals: true } })
    }

    /// Skips white space from offset `at` on, and then what `skip` skips. Returns the start and the end of the latter.
    #[inline(always)]
    fn skip_white_and(&self, at: usize, skip: impl Fn(Value<'m>, usize) -> usize) -> (usize, usize) {
        let end = skip(self.text, at);
        // There is seldom white space.
        if end > at { (at, end) } else { skip_some_white_and(self.text, at, skip) }
    }
}

#[cold]
fn skip_some_white_and<'m>(text: Value<'m>, at: usize, skip: impl Fn(Value<'m>, usize) -> usize) -> (usize, usize) {
    let start = text.skip_white(at);
    (start, skip(text, start))
}

/// Skips white space, and a comment if no parameter follows it.
///
/// Returns the offset of the next parameter's semicolon, or of the comma or the end of the value.
#[cold]
fn skip_to_semicolon(text: Value<'_>, at: usize) -> Result<usize, Malformed> {
    let at = text.skip_white(at);
    match text.get(at) {
        None | Some(b';' | b',') => Ok(at),
        Some(b'(') => {
            let after = text.skip_comment(at).ok_or(Malformed)?;
            let at = text.skip_white(after);
            matches!(text.get(at), None | Some(b',')).then_some(at).ok_or(Malformed)
        }
        Some(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use filter_common::words::Spelling;

    use super::{Param, Params};
    use crate::sip::lexis::Value;

    #[test]
    fn usual_parameter_is_parsed_like_any_other() {
        let mut tails = vec![String::new()];
        for _ in 0..4 {
            let longer = tails
                .iter()
                .flat_map(|tail| ["a", "=", ";", ",", "\"", " ", "\\", "("].map(|next| format!("{tail}{next}")));
            tails.extend(longer.collect::<Vec<_>>());
        }
        for text in tails
            .iter()
            .flat_map(|tail| [";tag=", ";TaG=", ";tag =", ";tagx=", ";tag"].map(|start| format!("{start}{tail}")))
        {
            let message = format!("{text}\r\nCall-ID: 1\r\n\r\n");
            let value = Value::new(message.as_bytes(), &message.as_bytes()[..text.trim_end().len()]);
            let (mut usual, mut any) = (Params::new(value, 0), Params::new(value, 0));
            let found = usual.next_if_usual(Spelling::new(b";tag="));
            let is_usual = [";tag=a", ";TaG=a", ";tag=(", ";TaG=("].iter().any(|start| text.starts_with(start));
            assert!(found.is_some() || !is_usual, "{text} is usual");
            let Some(slot) = found else { continue };
            let Ok(Some(Param { slot: expected, .. })) = any.next() else { panic!("{text} is not a parameter") };
            assert_eq!((slot, usual.position(), usual.end()), (expected, any.position(), any.end()), "{text}");
        }
    }
}
