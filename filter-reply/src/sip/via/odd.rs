//! A topmost Via that does not conform to the grammar, read as far as a response needs it.
//!
//! Clients send empty parameters, brackets without quotes, and ports that are none. Kamailio and other proxies answer
//! most of these requests. A client that gets no response repeats its request for 32 s.
//!
//! A semicolon begins a parameter and a comma ends the Via, except in a quoted value and in a comment. Everything else
//! is copied.

use super::{BRANCH, RECEIVED, RPORT, Via, port_number, skip_protocol};
use crate::sip::lexis::{Span, Value, is_white};
use crate::sip::params::{Malformed, Param, Slot};

/// Parses the first Via in the value that begins at offset `start`.
///
/// # Errors
///
/// If the value does not begin with `SIP/2.0` and a transport, or if the Via has no host, no port and no `rport`: then
/// nothing says where the response should go.
#[cold]
#[inline(never)]
pub(super) fn parse(text: Value<'_>, start: usize) -> Result<Via, Malformed> {
    let sent_by = skip_protocol(text, start)?;
    let mut at = skip_to_separator(text, sent_by);
    let mut end = trim_end(text, sent_by, at);
    let (host, port) = host_and_port(text, Span::new(sent_by, end));
    let (mut branch, mut rport, mut received) = (None, None, None);
    while text.get(at) == Some(b';') {
        let (param, next) = param(text, at + 1);
        // After an empty parameter, which may be the last one, nothing can be added.
        if param.name.len() > 0 || param.slot.has_equals {
            end = trim_end(text, param.slot.value.end(), next);
        }
        if text.spells(param.name, BRANCH) {
            branch = Some(param.slot);
        } else if text.spells(param.name, RPORT) {
            rport = Some(param.slot);
        } else if text.spells(param.name, RECEIVED) {
            received = Some(param.slot);
        }
        at = next;
    }
    if host.len() == 0 && port.is_none() && rport.is_none() {
        return Err(Malformed);
    }
    Ok(Via { value: Span::new(start, at), host, port, branch, rport, received, end })
}

/// Splits `sent-by` into its host, with the brackets of an IPv6 address, and its port.
///
/// With several colons outside of brackets it is taken for an IPv6 address without them, which has no port.
fn host_and_port(text: Value<'_>, sent_by: Span) -> (Span, Option<u16>) {
    let (start, end) = (sent_by.start(), sent_by.end());
    let is_not = |stop: u8| move |byte: u8| byte != stop;
    let bracket = text.skip(start, is_not(b']'));
    let colon = text.skip(if bracket < end { bracket } else { start }, is_not(b':'));
    if colon < end && text.skip(colon + 1, is_not(b':')) >= end {
        let port = text.skip_white(colon + 1);
        let port = Span::new(port, text.skip(port, |byte| !is_white(byte)).min(end));
        return (Span::new(start, trim_end(text, start, colon)), port_number(text.slice(port)));
    }
    (Span::new(start, text.skip(start, |byte| !is_white(byte)).min(end)), None)
}

/// Reads the parameter at offset `at`, which is after its semicolon. Returns it with the offset of the next separator.
///
/// A value extends to the separator, so that all of it is replaced if a response sets the parameter.
fn param(text: Value<'_>, at: usize) -> (Param, usize) {
    let start = text.skip_white(at);
    let end = text.skip(start, |byte| !is_white(byte) && !matches!(byte, b';' | b',' | b'='));
    let name = Span::new(start, end);
    let equals = text.skip_white(end);
    if text.get(equals) != Some(b'=') {
        return (
            Param { name, slot: Slot { value: Span::new(end, end), has_equals: false } },
            skip_to_separator(text, end),
        );
    }
    let start = text.skip_white(equals + 1);
    let next = match text.get(start) {
        // Kamailio too takes everything after an open quote for the value.
        Some(b'"') => text.skip_quoted(start).map_or_else(|| text.end(), |end| skip_to_separator(text, end)),
        _ => skip_to_separator(text, start),
    };
    let end = trim_end(text, start, next);
    // As in `Params`, an empty value belongs right after the equals sign.
    let value = if start == end { Span::new(equals + 1, equals + 1) } else { Span::new(start, end) };
    (Param { name, slot: Slot { value, has_equals: true } }, next)
}

/// Skips to the next semicolon or comma outside of a comment, or to the end of the value.
fn skip_to_separator(text: Value<'_>, at: usize) -> usize {
    let mut at = at;
    let mut is_after_white = false;
    loop {
        match text.get(at) {
            None | Some(b';' | b',') => return at,
            // A comment that is not closed extends to the end. Otherwise each of many would be searched to the end.
            Some(b'(') if is_after_white => at = text.skip_comment(at).unwrap_or_else(|| text.end()),
            Some(_) => at += 1,
        }
        is_after_white = text.get(at - 1).is_some_and(is_white);
    }
}

/// Returns the offset after the last byte from `start` to `end` that is not white space.
fn trim_end(text: Value<'_>, start: usize, end: usize) -> usize {
    let mut end = end;
    while end > start && text.get(end - 1).is_some_and(is_white) {
        end -= 1;
    }
    end
}
