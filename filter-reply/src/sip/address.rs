//! The value of a From or To header: `( name-addr / addr-spec ) *( SEMI param )` (RFC 3261 sections 20.20, 20.39,
//! 25.1).

use filter_common::words::Spelling;

use super::lexis::Value;
use super::params::{Malformed, Params, Slot};

const TAG: Spelling = Spelling::new(b"tag");
/// The usual beginning of the parameter.
const TAG_EQUALS: Spelling = Spelling::new(b";tag=");

/// The value of a From or To header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    /// The `tag` parameter, if there is one. Of several, the first one that is not empty, or else the last one.
    pub(crate) tag: Option<Slot>,
    /// Offset at which a parameter can be added.
    pub(crate) end: usize,
}

impl Address {
    /// Parses the value from offset `at` to the end of `text`.
    ///
    /// # Errors
    ///
    /// If the value does not conform to the grammar: an unclosed quote or bracket, an empty parameter, a list.
    #[inline(always)]
    pub(crate) fn parse(text: Value<'_>, at: usize) -> Result<Self, Malformed> {
        let mut params = Params::new(text, params_start(text, at)?);
        let mut tag = params.next_if_usual(TAG_EQUALS);
        while let Some(param) = params.next()? {
            if text.spells(param.name, TAG) && tag.is_none_or(|slot| slot.is_empty(text)) {
                tag = Some(param.slot);
            }
        }
        if params.position() < text.end() {
            return Err(Malformed);
        }
        Ok(Self { tag, end: params.end() })
    }
}

/// Returns the offset of the parameters: after `>`, or at the first semicolon of a URI without brackets.
///
/// Without brackets, parameters belong to the header and not to the URI (RFC 3261 section 20.10).
#[inline(always)]
fn params_start(text: Value<'_>, start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    let mut is_quoted = false;
    loop {
        at = match (text.get(at), text.get(at + 1)) {
            (Some(b'"' | b'<'), _) => at,
            // This usually follows a quoted name.
            (Some(b' '), Some(b'<')) => at + 1,
            _ => text.skip_display(at),
        };
        match text.get(at) {
            Some(b'"') => {
                at = text.skip_quoted(at).ok_or(Malformed)?;
                is_quoted = true;
            }
            Some(b'<') => return text.skip_uri(at + 1).ok_or(Malformed),
            // After a quoted display name, brackets are mandatory.
            None | Some(b';') if at > start && !is_quoted => return Ok(at),
            _ => return Err(Malformed),
        }
    }
}
