//! The start line of a request: method, Request-URI, version (RFC 3261 section 7.1).

use super::Refused;
use super::lanes::{Newlines, find};

macro_rules! methods {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// The methods that may be refused. All others are never answered: ACK has no response at all, and CANCEL,
        /// BYE, PRACK, UPDATE, INFO, NOTIFY and REFER belong to calls that are up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Method {
            /// The method as it stands in a request.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The method that `octets` spell, case-sensitive as RFC 3261 section 7.1 has it.
            #[inline]
            pub(super) fn from_octets(octets: &[u8]) -> Option<Self> {
                $(if octets == $name.as_bytes() {
                    return Some(Self::$variant);
                })+
                None
            }
        }
    };
}

methods! {
    /// RFC 3261 section 13.
    Invite => "INVITE",
    /// RFC 3261 section 11.
    Options => "OPTIONS",
    /// RFC 3261 section 10.
    Register => "REGISTER",
    /// RFC 6665.
    Subscribe => "SUBSCRIBE",
    /// RFC 3428.
    Message => "MESSAGE",
    /// RFC 3903.
    Publish => "PUBLISH",
}

/// A start line that has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartLine<'m> {
    pub(super) method: Method,
    pub(super) request_uri: &'m [u8],
    /// The offset of the line after it.
    pub(super) end: usize,
    /// The newlines after it.
    pub(super) newlines: Newlines<'m>,
}

impl<'m> StartLine<'m> {
    /// Reads the start line of `message`; CR and LF before it are skipped (RFC 3261 section 7.5).
    pub(super) fn parse(message: &'m [u8]) -> Result<Self, Refused> {
        let start = message.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
        let mut newlines = Newlines::new(message, start);
        let newline = newlines.next().ok_or(Refused::StartLine)?;
        let line = message.get(start..newline).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);

        let (method, line) = split_at_space(line).ok_or(Refused::StartLine)?;
        let (request_uri, version) = split_at_space(line).ok_or(Refused::StartLine)?;
        if request_uri.is_empty() || !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(Refused::StartLine);
        }
        let method = Method::from_octets(method).ok_or(Refused::Method)?;
        Ok(Self { method, request_uri, end: newline + 1, newlines })
    }
}

/// What stands before and after the first space.
#[inline(always)]
fn split_at_space(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = find(line, 0, |lanes| lanes.is(b' '), |octet| octet == b' ');
    Some((line.get(..space)?, line.get(space + 1..)?))
}
