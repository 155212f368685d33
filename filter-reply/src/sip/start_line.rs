//! The start line of a request: method, Request-URI, version (RFC 3261 section 7.1).

use super::lanes::{LineStarts, find};
use super::lexis::{Span, Spelling};
use crate::Unanswered;

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
            #[inline(always)]
            pub(crate) fn from_octets(octets: &[u8]) -> Option<Self> {
                $(if Self::$variant.is(octets) {
                    return Some(Self::$variant);
                })+
                None
            }

            /// Whether `octets` spell it.
            #[inline(always)]
            pub(crate) fn is(self, octets: &[u8]) -> bool {
                match self {
                    $(Self::$variant => octets == $name.as_bytes(),)+
                }
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

const VERSION: Spelling = Spelling::new(b"sip/2.0");

/// A start line that has been read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartLine<'m> {
    pub(crate) method: Method,
    pub(crate) request_uri: &'m [u8],
    /// The offset of the line after it.
    pub(crate) end: usize,
    /// The lines after that one.
    pub(crate) starts: LineStarts<'m>,
}

impl<'m> StartLine<'m> {
    /// Reads the start line of `message`; CR and LF before it are skipped (RFC 3261 section 7.5).
    ///
    /// # Errors
    ///
    /// [`Unanswered::Method`], and else [`Unanswered::StartLine`]: also if no line follows it, or if the message is too short for
    /// [`LineStarts`]. The shortest request, by RFC 2543, has 73 octets, and that is long enough.
    pub(crate) fn parse(message: &'m [u8]) -> Result<Self, Unanswered> {
        let start = message.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
        let mut starts = LineStarts::new(message).ok_or(Unanswered::StartLine)?;
        let next_line = loop {
            let (at, _) = starts.next().ok_or(Unanswered::StartLine)?;
            if at > start {
                break at;
            }
        };
        let newline = next_line - 1;
        let carriage_return = newline.checked_sub(1).and_then(|at| message.get(at)) == Some(&b'\r');
        let end = newline - usize::from(newline > start && carriage_return);

        let method_end = space(message, start, end).ok_or(Unanswered::StartLine)?;
        let uri_end = space(message, method_end + 1, end).ok_or(Unanswered::StartLine)?;
        let (uri, version) = (Span::new(method_end + 1, uri_end), Span::new(uri_end + 1, end));
        if uri.len() == 0 || !VERSION.is_at(message, version) {
            return Err(Unanswered::StartLine);
        }
        let (method, request_uri) = (Span::new(start, method_end).of(message), uri.of(message));
        let method = Method::from_octets(method).ok_or(Unanswered::Method)?;
        Ok(Self { method, request_uri, end: next_line, starts })
    }
}

/// The first space of `message` from `start` on, before `end`.
#[inline(always)]
fn space(message: &[u8], start: usize, end: usize) -> Option<usize> {
    let space = find(message, start, |lanes| lanes.is(b' '), |octet| octet == b' ');
    (space < end).then_some(space)
}
