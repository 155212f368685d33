//! The value of a From or To header: `( name-addr / addr-spec ) *( SEMI param )` (RFC 3261 sections 20.20, 20.39, 25.1).

use super::lexis::{Spelling, Value};
use super::params::{Malformed, Params, Slot};

const TAG: Spelling = Spelling::new(b"tag");
/// How it nearly always begins.
const TAG_IS: Spelling = Spelling::new(b";tag=");

/// What is known of a From or To header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    /// The `tag` parameter, if there is one.
    pub(crate) tag: Option<Slot>,
    /// The offset at which a parameter can be added.
    pub(crate) end: usize,
}

impl Address {
    /// Reads the value that begins at `at`, where `text` is the message up to the value's end.
    ///
    /// # Errors
    ///
    /// The grammar does not have it: unclosed quote or bracket, an empty parameter, two tags, a list …
    #[inline(always)]
    pub(crate) fn parse(text: Value<'_>, at: usize) -> Result<Self, Malformed> {
        let mut params = Params::new(text, params_at(text, at)?);
        let mut tag = params.usual(TAG_IS);
        while let Some(param) = params.next()? {
            if text.has(param.name, TAG) && tag.replace(param.slot).is_some() {
                return Err(Malformed);
            }
        }
        if params.position() < text.end() {
            return Err(Malformed);
        }
        Ok(Self { tag, end: params.end() })
    }
}

/// Where the parameters begin: after `>`, or without brackets at the first semicolon, since that one then belongs to
/// the header and not to the URI (RFC 3261 section 20.10).
#[inline(always)]
fn params_at(text: Value<'_>, start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    let mut is_quoted = false;
    loop {
        at = match (text.get(at), text.get(at + 1)) {
            (Some(b'"' | b'<'), _) => at,
            // What nearly always follows on a quoted name.
            (Some(b' '), Some(b'<')) => at + 1,
            _ => text.skip_display(at),
        };
        match text.get(at) {
            Some(b'"') => {
                at = text.skip_quoted(at).ok_or(Malformed)?;
                is_quoted = true;
            }
            Some(b'<') => return text.skip_uri(at + 1).ok_or(Malformed),
            // A display name in quotes needs brackets.
            None | Some(b';') if at > start && !is_quoted => return Ok(at),
            _ => return Err(Malformed),
        }
    }
}
