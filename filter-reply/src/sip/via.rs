//! The topmost Via: who sent the request, and where the response goes (RFC 3261 sections 18.2, 20.42; RFC 3581).

use std::net::{IpAddr, Ipv6Addr};

use super::lexis::{Span, Spelling, Value, is_token};
use super::params::{Malformed, Param, Params, Slot};
use crate::Unanswered;

/// The port of SIP over UDP where none is named (RFC 3261 section 18.2.2).
const DEFAULT_PORT: u16 = 5060;

/// How the branches of RFC 3261 begin (section 8.1.1.7).
const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

const BRANCH: Spelling = Spelling::new(b"branch");
/// How it nearly always begins.
const BRANCH_IS: Spelling = Spelling::new(b";branch=");
const RPORT: Spelling = Spelling::new(b"rport");
const RECEIVED: Spelling = Spelling::new(b"received");

/// The topmost Via, as offsets into the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    /// All of its value, up to the comma before the next one in the same header.
    value: Span,
    /// The host of `sent-by`, the brackets of an IPv6 address included.
    host: Span,
    /// The port of `sent-by`: `None` if there is none, `Some(0)` if it is no port.
    port: Option<u16>,
    branch: Option<Slot>,
    /// The `rport` parameter (RFC 3581).
    pub(crate) rport: Option<Slot>,
    /// The `received` parameter, which no client should have put there.
    pub(crate) received: Option<Slot>,
    /// The offset at which a parameter can be added.
    pub(crate) end: usize,
}

impl Via {
    /// Reads the first value of the Via header whose value begins at `at`; `text` is the message up to its end.
    #[inline(always)]
    pub(crate) fn parse(text: Value<'_>, at: usize) -> Result<Self, Malformed> {
        let start = at;
        let at = skip_protocol(text, at)?;
        let host_end = skip_host(text, at)?;
        let (port, params_at) = port(text, host_end)?;
        let mut params = Params::new(text, params_at);
        let (mut branch, mut rport, mut received) = (params.usual(BRANCH_IS), None, None);
        while let Some(Param { name, slot }) = params.next()? {
            let found = if text.has(name, BRANCH) {
                &mut branch
            } else if text.has(name, RPORT) {
                &mut rport
            } else if text.has(name, RECEIVED) {
                &mut received
            } else {
                continue;
            };
            // RFC 3261 section 7.3.1: no parameter twice; which of them would the sender believe?
            if found.replace(slot).is_some() {
                return Err(Malformed);
            }
        }
        let value = Span::new(start, params.position());
        Ok(Self { value, host: Span::new(at, host_end), port, branch, rport, received, end: params.end() })
    }

    /// The port to which the response goes (RFC 3261 section 18.2.2, RFC 3581 section 4), host byte order;
    /// `source_port` is that of the request's packet.
    pub(crate) fn reply_port(&self, source_port: u16) -> Result<u16, Unanswered> {
        match (self.rport, self.port) {
            (Some(_), _) => Ok(source_port),
            (None, None) => Ok(DEFAULT_PORT),
            (None, Some(0)) => Err(Unanswered::ReplyPort),
            (None, Some(port)) => Ok(port),
        }
    }

    /// Whether `sent-by` names the address `source`, of which `source_text` is the text (RFC 3261 section 18.2.1).
    ///
    /// IPv6 addresses are compared as numbers (RFC 5118 section 4.5), an IPv4-mapped one as the IPv4 address that it is.
    pub(crate) fn is_sent_by(&self, message: &[u8], source: IpAddr, source_text: &[u8]) -> bool {
        let host = self.host.of(message);
        let Some(reference) = host.strip_prefix(b"[") else {
            return host == source_text;
        };
        let address = reference.strip_suffix(b"]").and_then(|text| str::from_utf8(text).ok());
        let address = address.and_then(|text| text.parse::<Ipv6Addr>().ok());
        address.is_some_and(|address| address.to_canonical() == source.to_canonical())
    }

    /// What tells the transaction: the branch, or for a client of RFC 2543, whose branch need not be unique, all of
    /// the Via (RFC 3261 section 17.2.3).
    pub(crate) fn transaction(&self, message: &[u8]) -> Span {
        let branch = self.branch.map_or(Span::default(), |slot| slot.value);
        if branch.len() > MAGIC_COOKIE.len() && branch.of(message).starts_with(MAGIC_COOKIE) {
            branch
        } else {
            self.value
        }
    }
}

/// `sent-protocol LWS`, in any case and with white space around the slashes. The offset of `sent-by`.
#[inline(always)]
fn skip_protocol(text: Value<'_>, at: usize) -> Result<usize, Malformed> {
    const USUAL: &[u8; 12] = b"SIP/2.0/UDP ";
    if text.chunk(at) == Some(USUAL) {
        return Ok(text.skip_white(at + USUAL.len()));
    }
    let at = skip_slash(text, skip_word(text, at, b"SIP")?)?;
    let transport = skip_slash(text, skip_word(text, at, b"2.0")?)?;
    let end = text.skip(transport, is_token);
    let sent_by = text.skip_white(end);
    if transport == end || end == sent_by { Err(Malformed) } else { Ok(sent_by) }
}

fn skip_word(text: Value<'_>, at: usize, word: &[u8]) -> Result<usize, Malformed> {
    let end = at + word.len();
    let same = text.of(Span::new(at, end)).eq_ignore_ascii_case(word);
    if same { Ok(end) } else { Err(Malformed) }
}

/// `SLASH`, with the white space around it.
fn skip_slash(text: Value<'_>, at: usize) -> Result<usize, Malformed> {
    let at = text.skip_white(at);
    if text.get(at) == Some(b'/') { Ok(text.skip_white(at + 1)) } else { Err(Malformed) }
}

/// The offset after the host at `at`. What stands in brackets is not looked at here: it is only ever compared.
#[inline(always)]
fn skip_host(text: Value<'_>, at: usize) -> Result<usize, Malformed> {
    if text.get(at) != Some(b'[') {
        let end = text.skip_host(at);
        return if end > at { Ok(end) } else { Err(Malformed) };
    }
    let end = text.skip(at + 1, |octet| is_token(octet) || octet == b':');
    if text.get(end) == Some(b']') { Ok(end + 1) } else { Err(Malformed) }
}

/// `[ COLON port ]` after the host, with the white space around the colon, and the offset after it.
#[inline(always)]
fn port(text: Value<'_>, host_end: usize) -> Result<(Option<u16>, usize), Malformed> {
    const USUAL: &[u8; 5] = b":5060";
    let after = host_end + USUAL.len();
    if text.chunk(host_end) == Some(USUAL) && !text.get(after).is_some_and(|octet| octet.is_ascii_digit()) {
        return Ok((Some(DEFAULT_PORT), after));
    }
    let colon = text.skip_white(host_end);
    if text.get(colon) != Some(b':') {
        return Ok((None, host_end));
    }
    let start = text.skip_white(colon + 1);
    let end = text.skip_digits(start);
    let port = text
        .of(Span::new(start, end))
        .iter()
        .fold(0_u32, |port, digit| (port * 10 + u32::from(digit - b'0')).min(u32::from(u16::MAX) + 1));
    if start == end { Err(Malformed) } else { Ok((Some(u16::try_from(port).unwrap_or(0)), end)) }
}
