//! The parameters of a Via, From or To header: `*( SEMI generic-param )` (RFC 3261 section 25.1).

use super::lexis::{Span, Spelling, Value};

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    /// Its name.
    pub(crate) name: Span,
    /// Its value.
    pub(crate) slot: Slot,
}

/// Where the value of a parameter stands, or is to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The value, quotes included; empty, and in the place where it belongs, if there is none.
    pub(crate) value: Span,
    /// Whether there is an equals sign.
    pub(crate) equals: bool,
}

/// A parameter is not what the grammar says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads parameters, until the value of the header ends or a comma ends this element of a list.
///
/// Stricter than some: an empty parameter (`;;`) is an error. Laxer than the grammar: a name may have any octets but
/// separators, and a comment may follow the last one, as RFC 2543 section 6.40 has it for Via.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<'m> {
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
    pub(crate) const fn new(text: Value<'m>, at: usize) -> Self {
        Self { text, at, end: at }
    }

    /// Where another parameter can be put: after the last one, before a comment.
    #[inline(always)]
    pub(crate) const fn end(&self) -> usize {
        self.end
    }

    /// Where the reading stopped; after the last parameter: at the comma, or at the end of the value.
    #[inline(always)]
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// The next parameter. `None`: there are no more.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Param>, Malformed> {
        if self.text.get(self.at) != Some(b';') {
            if self.at == self.text.end() {
                return Ok(None);
            }
            self.at = before_semicolon(self.text, self.at)?;
            if self.text.get(self.at) != Some(b';') {
                return Ok(None);
            }
        }
        self.param(self.at + 1).map(Some)
    }

    /// The next parameter, if it begins like `start`, `;name=`, and a value without quotes follows at once, as nearly always.
    ///
    /// `None`: [`Self::next`] tells what it is.
    #[inline(always)]
    pub(crate) fn usual(&mut self, start: Spelling) -> Option<Slot> {
        if !start.begins(self.text.word(self.at)) {
            return None;
        }
        let value = self.at + start.len();
        let end = self.text.skip_plain(value);
        if end == value {
            return None;
        }
        (self.at, self.end) = (end, end);
        Some(Slot { value: Span::new(value, end), equals: true })
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
        if end > at { (at, end) } else { skip_some_white_and(self.text, at, skip) }
    }
}

#[cold]
fn skip_some_white_and<'m>(text: Value<'m>, at: usize, skip: impl Fn(Value<'m>, usize) -> usize) -> (usize, usize) {
    let start = text.skip_white(at);
    (start, skip(text, start))
}

/// The offset of what follows white space: the semicolon of the next parameter, or the comma or the end of the value, maybe
/// after a comment.
#[cold]
fn before_semicolon(text: Value<'_>, at: usize) -> Result<usize, Malformed> {
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
    use super::{Param, Params};
    use crate::sip::lexis::{Spelling, Value};

    #[test]
    fn the_usual_parameter_is_like_any_other() {
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
            let found = usual.usual(Spelling::new(b";tag="));
            let is_usual = [";tag=a", ";TaG=a", ";tag=(", ";TaG=("].iter().any(|start| text.starts_with(start));
            assert!(found.is_some() || !is_usual, "{text} is usual");
            let Some(slot) = found else { continue };
            let Ok(Some(Param { slot: expected, .. })) = any.next() else { panic!("{text} is no parameter") };
            assert_eq!((slot, usual.position(), usual.end()), (expected, any.position(), any.end()), "{text}");
        }
    }
}
