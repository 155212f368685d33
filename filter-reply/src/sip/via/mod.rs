//! The topmost Via: the sender of the request, and the port of its response (RFC 3261 sections 18.2, 20.42; RFC 3581).

mod odd;

use std::net::{IpAddr, Ipv6Addr};

use filter_common::words::Spelling;

use super::lexis::{Span, Value, is_token, is_white};
use super::params::{Malformed, Param, Params, Slot};

/// Port of SIP over UDP if `sent-by` has none (RFC 3261 section 18.2.2).
const DEFAULT_PORT: u16 = 5060;

/// Beginning of a branch that is unique (RFC 3261 section 8.1.1.7).
const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

const BRANCH: Spelling = Spelling::new(b"branch");
/// The usual beginning of the parameter.
const BRANCH_EQUALS: Spelling = Spelling::new(b";branch=");
const RPORT: Spelling = Spelling::new(b"rport");
const RECEIVED: Spelling = Spelling::new(b"received");

/// The topmost Via, as offsets into the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    /// The whole value, up to the comma before the next Via in the same header.
    value: Span,
    /// Host of `sent-by`, with the brackets of an IPv6 address.
    host: Span,
    /// Port of `sent-by`: `None` if there is none, or a number that is not a port.
    port: Option<u16>,
    branch: Option<Slot>,
    /// The last `rport` parameter (RFC 3581).
    pub(crate) rport: Option<Slot>,
    /// The last `received` parameter, which only a server should add.
    pub(crate) received: Option<Slot>,
    /// Offset at which a parameter can be added.
    pub(crate) end: usize,
}

impl Via {
    /// Parses the first Via in the value from offset `at` to the end of `text`.
    ///
    /// If a parameter comes twice, which RFC 3261 section 7.3.1 forbids, the last one counts, as for Kamailio.
    ///
    /// # Errors
    ///
    /// If the value does not begin with `SIP/2.0` and a transport, or if nothing says where the response should go.
    #[inline(always)]
    pub(crate) fn parse(text: Value<'_>, at: usize) -> Result<Self, Malformed> {
        Self::conforming(text, at).or_else(|Malformed| odd::parse(text, at))
    }

    /// Parses a Via that begins at offset `start` and conforms to the grammar.
    #[inline(always)]
    fn conforming(text: Value<'_>, start: usize) -> Result<Self, Malformed> {
        let at = skip_protocol(text, start)?;
        let host_end = skip_host(text, at)?;
        let (port, params_at) = parse_port(text, host_end)?;
        let mut params = Params::new(text, params_at);
        let (mut branch, mut rport, mut received) = (params.next_if_usual(BRANCH_EQUALS), None, None);
        while let Some(Param { name, slot }) = params.next()? {
            if text.spells(name, BRANCH) {
                branch = Some(slot);
            } else if text.spells(name, RPORT) {
                rport = Some(slot);
            } else if text.spells(name, RECEIVED) {
                received = Some(slot);
            }
        }
        let value = Span::new(start, params.position());
        Ok(Self { value, host: Span::new(at, host_end), port, branch, rport, received, end: params.end() })
    }

    /// Returns the destination port of the response (RFC 3261 section 18.2.2, RFC 3581 section 4).
    ///
    /// `source_port` is the source port of the request's packet, and `forces_rport` is true if the response goes there
    /// even without `rport`. A `sent-by` whose number is not a port is treated as one without a port, as by Kamailio.
    pub(crate) fn reply_port(&self, source_port: u16, forces_rport: bool) -> u16 {
        if forces_rport || self.rport.is_some() { source_port } else { self.port.unwrap_or(DEFAULT_PORT) }
    }

    /// Returns whether the host of `sent-by` is the address `source` (RFC 3261 section 18.2.1).
    ///
    /// `source_text` is `source` as text. IPv6 addresses are compared as numbers (RFC 5118 section 4.5), IPv4-mapped
    /// ones as IPv4 addresses.
    pub(crate) fn is_sent_by(&self, message: &[u8], source: IpAddr, source_text: &[u8]) -> bool {
        let host = self.host.slice(message);
        let Some(reference) = host.strip_prefix(b"[") else {
            return host == source_text;
        };
        let address = reference.strip_suffix(b"]").and_then(|text| str::from_utf8(text).ok());
        let address = address.and_then(|text| text.parse::<Ipv6Addr>().ok());
        address.is_some_and(|address| address.to_canonical() == source.to_canonical())
    }

    /// Returns the part that identifies the transaction (RFC 3261 section 17.2.3).
    ///
    /// This is the branch. A client of RFC 2543, whose branch need not be unique, is identified by the whole Via.
    pub(crate) fn transaction_id(&self, message: &[u8]) -> Span {
        let branch = self.branch.map_or_else(Span::default, |slot| slot.value);
        if branch.len() > MAGIC_COOKIE.len() && branch.slice(message).starts_with(MAGIC_COOKIE) {
            branch
        } else {
            self.value
        }
    }
}

/// Skips `sent-protocol LWS`, in any case and with white space around the slashes. Returns the offset of `sent-by`.
///
/// The transport may be any word, because the response does not depend on it.
#[inline(always)]
fn skip_protocol(text: Value<'_>, at: usize) -> Result<usize, Malformed> {
    const USUAL: &[u8; 12] = b"SIP/2.0/UDP ";
    if text.chunk(at) == Some(USUAL) {
        return Ok(text.skip_white(at + USUAL.len()));
    }
    let at = skip_slash(text, skip_word(text, at, b"SIP")?)?;
    let transport = skip_slash(text, skip_word(text, at, b"2.0")?)?;
    let end = text.skip(transport, |byte| !is_white(byte) && !matches!(byte, b'/' | b';' | b','));
    if transport == end { Err(Malformed) } else { Ok(text.skip_white(end)) }
}

/// Skips `word`, in any case.
fn skip_word(text: Value<'_>, at: usize, word: &[u8]) -> Result<usize, Malformed> {
    let end = at + word.len();
    if text.slice(Span::new(at, end)).eq_ignore_ascii_case(word) { Ok(end) } else { Err(Malformed) }
}

/// Skips `SLASH`: a slash with white space around it.
fn skip_slash(text: Value<'_>, at: usize) -> Result<usize, Malformed> {
    let at = text.skip_white(at);
    if text.get(at) == Some(b'/') { Ok(text.skip_white(at + 1)) } else { Err(Malformed) }
}

/// Skips the host at offset `at`. An address in brackets is not parsed: it is only compared, by [`Via::is_sent_by`].
#[inline(always)]
fn skip_host(text: Value<'_>, at: usize) -> Result<usize, Malformed> {
    if text.get(at) != Some(b'[') {
        let end = text.skip_host(at);
        return if end > at { Ok(end) } else { Err(Malformed) };
    }
    let end = text.skip(at + 1, |byte| is_token(byte) || byte == b':');
    if text.get(end) == Some(b']') { Ok(end + 1) } else { Err(Malformed) }
}

/// Parses `[ COLON port ]` after the host, with white space around the colon. Returns the port and the offset after it.
#[inline(always)]
fn parse_port(text: Value<'_>, host_end: usize) -> Result<(Option<u16>, usize), Malformed> {
    const USUAL: &[u8; 5] = b":5060";
    let after = host_end + USUAL.len();
    if text.chunk(host_end) == Some(USUAL) && !text.get(after).is_some_and(|byte| byte.is_ascii_digit()) {
        return Ok((Some(DEFAULT_PORT), after));
    }
    let colon = text.skip_white(host_end);
    if text.get(colon) != Some(b':') {
        return Ok((None, host_end));
    }
    let start = text.skip_white(colon + 1);
    let end = text.skip_digits(start);
    if start == end { Err(Malformed) } else { Ok((port_number(text.slice(Span::new(start, end))), end)) }
}

/// Parses the number of a port. Returns `None` if there is no such port.
fn port_number(text: &[u8]) -> Option<u16> {
    let mut port = 0_u16;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        port = port.checked_mul(10)?.checked_add(u16::from(digit))?;
    }
    (port > 0).then_some(port)
}
