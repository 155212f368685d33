//! The parameters of a Via, From or To header: `*( SEMI generic-param )` (RFC 3261 section 25.1).

use super::lexis::{Span, Value};

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    /// Its name.
    pub(super) name: Span,
    /// Its value.
    pub(super) slot: Slot,
}

/// Where the value of a parameter stands, or is to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The value, quotes included; empty, and in the place where it belongs, if there is none.
    pub(super) value: Span,
    /// Whether there is an equals sign.
    pub(super) equals: bool,
}

/// A parameter is not what the grammar says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads parameters, until the value of the header ends or a comma ends this element of a list.
///
/// Stricter than some: an empty parameter (`;;`) is an error. Laxer than the grammar: a name may have any octets but
/// separators, and a comment may follow the last one, as RFC 2543 section 6.40 has it for Via.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params<'m> {
    /// The message, up to the end of the header's value.
    text: Value<'m>,
    /// Where the next parameter, or what comes before it, begins.
    at: usize,
    /// Where the last parameter ended.
    end: usize,
}

impl<'m> Params<'m> {
    /// Parameters from the offset `at` on; `text` is the message up to the end of the header's value.
    #[inline(always)]
    pub(super) const fn new(text: Value<'m>, at: usize) -> Self {
        Self { text, at, end: at }
    }

    /// Where another parameter can be put: after the last one, before a comment.
    #[inline(always)]
    pub(super) const fn end(&self) -> usize {
        self.end
    }

    /// Where the reading stopped; after the last parameter: at the comma, or at the end of the value.
    #[inline(always)]
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// The next parameter. `None`: there are no more.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<Param>, Malformed> {
        match self.text.get(self.at) {
            Some(b';') => self.param(self.at + 1).map(Some),
            None => Ok(None),
            Some(_) => self.next_after_white(),
        }
    }

    /// The same where white space comes first, or where the parameters end before the value does.
    #[cold]
    fn next_after_white(&mut self) -> Result<Option<Param>, Malformed> {
        let at = self.text.skip_white(self.at);
        match self.text.get(at) {
            Some(b';') => self.param(at + 1).map(Some),
            Some(b'(') => {
                let after = self.text.skip_comment(at).ok_or(Malformed)?;
                self.at = self.text.skip_white(after);
                matches!(self.text.get(self.at), None | Some(b',')).then_some(None).ok_or(Malformed)
            }
            None | Some(b',') => {
                self.at = at;
                Ok(None)
            }
            Some(_) => Err(Malformed),
        }
    }

    /// The parameter after the semicolon, `at` being the offset of what follows it.
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
            return Ok(Param { name, slot: Slot { value: Span::new(end, end), equals: false } });
        }
        let (value, mut end) = self.skip_white_and(equals + 1, Value::skip_plain);
        if value == end && self.text.get(value) == Some(b'"') {
            end = self.text.skip_quoted(value).ok_or(Malformed)?;
        }
        // An empty value belongs right after the sign, before the white space that may end the line.
        let value = if value == end { Span::new(equals + 1, equals + 1) } else { Span::new(value, end) };
        self.at = value.end();
        self.end = value.end();
        Ok(Param { name, slot: Slot { value, equals: true } })
    }

    /// Where `skip` begins behind the white space that may be at the offset `at`, and where it ends.
    #[inline(always)]
    fn skip_white_and(&self, at: usize, skip: impl Fn(Value<'m>, usize) -> usize) -> (usize, usize) {
        let end = skip(self.text, at);
        // Hardly ever there is some.
        if end > at { (at, end) } else { self.skip_some_white_and(at, skip) }
    }

    #[cold]
    fn skip_some_white_and(&self, at: usize, skip: impl Fn(Value<'m>, usize) -> usize) -> (usize, usize) {
        let start = self.text.skip_white(at);
        (start, skip(self.text, start))
    }
}
