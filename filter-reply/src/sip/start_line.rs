//! The start line of a request: method, Request-URI, version (RFC 3261 section 7.1).

use filter_common::sip::Method;
use filter_common::words::Spelling;

use super::lanes::{LineStarts, find};
use super::lexis::Span;
use crate::Unanswered;

const VERSION: Spelling = Spelling::new(b"sip/2.0");

/// The start line of a request that may be refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartLine<'m> {
    pub(crate) method: Method,
    pub(crate) request_uri: &'m [u8],
    /// Offset of the next line.
    pub(crate) end: usize,
    /// The lines after the next one.
    pub(crate) starts: LineStarts<'m>,
}

impl<'m> StartLine<'m> {
    /// Parses the start line of `message`. CR and LF before it are skipped (RFC 3261 section 7.5). The Request-URI may
    /// be empty.
    ///
    /// # Errors
    ///
    /// * [`Unanswered::Method`] if a policy may not refuse the method;
    /// * [`Unanswered::StartLine`] if the line is malformed, if it is the last one, or if the message is too short for
    ///   [`LineStarts`]. Even the shortest request that conforms to RFC 2543 is long enough: it has 73 bytes.
    pub(crate) fn parse(message: &'m [u8]) -> Result<Self, Unanswered> {
        let start = message.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
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

        let method_end = find_space(message, start, end).ok_or(Unanswered::StartLine)?;
        let uri_end = find_space(message, method_end + 1, end).ok_or(Unanswered::StartLine)?;
        let (uri, version) = (Span::new(method_end + 1, uri_end), Span::new(uri_end + 1, end));
        if !version.spells(message, VERSION) {
            return Err(Unanswered::StartLine);
        }
        let (method, request_uri) = (Span::new(start, method_end).slice(message), uri.slice(message));
        let method = Method::from_bytes(method).filter(|method| method.is_refusable()).ok_or(Unanswered::Method)?;
        Ok(Self { method, request_uri, end: next_line, starts })
    }
}

/// Returns the offset of the first space of `message` from `start` to `end`.
#[inline(always)]
fn find_space(message: &[u8], start: usize, end: usize) -> Option<usize> {
    let space = find(message, start, |lanes| lanes.equal(b' '), |byte| byte == b' ');
    (space < end).then_some(space)
}
