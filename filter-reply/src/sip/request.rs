//! A request, parsed in one pass over its headers as far as its response needs it. The body is never read.

use arrayvec::ArrayVec;
use filter_common::maps::MAX_FRAME;
use filter_common::sip::Method;

use super::address::Address;
use super::headers::{Name, name, value};
use super::lexis::{Span, Value};
use super::lines::{Lines, Next};
use super::params::Malformed;
use super::start_line::StartLine;
use super::via::Via;
use crate::Unanswered;

/// Maximum number of [`Runs`]. Usual requests have two or three.
///
/// No frame that the XDP program redirects can have more: a run takes at least five bytes, as in `v:`, a newline, and
/// another line of one byte and a newline.
pub(crate) const MAX_RUNS: usize = MAX_FRAME as usize / 5;

/// The parts of a request that its response is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'m> {
    pub(crate) message: &'m [u8],
    pub(crate) method: Method,
    /// Request-URI.
    pub(crate) uri: &'m [u8],
    /// Topmost Via.
    pub(crate) via: Via,
    /// To header. Its tag is empty or missing.
    pub(crate) to: Address,
    /// Tag of the From header, or its whole value if there is no tag.
    pub(crate) from: Span,
    /// Value of the Call-ID header.
    pub(crate) call_id: Span,
    /// Digits of the CSeq header without leading zeros, or its whole value if there are none.
    pub(crate) cseq: Span,
}

impl<'m> Request<'m> {
    /// Parses `message`, the payload of one datagram. Adds the lines that the response repeats to `runs`, which is
    /// empty.
    ///
    /// From, Call-ID and CSeq may have any value, because the response only repeats them. If such a header comes twice,
    /// the response repeats both, and the first one identifies the transaction.
    ///
    /// # Errors
    ///
    /// The first reason found for which there is no response.
    pub(crate) fn parse(message: &'m [u8], runs: &mut Runs) -> Result<Self, Unanswered> {
        if message.len() > usize::from(u16::MAX) {
            return Err(Unanswered::Unreadable);
        }
        let start = StartLine::parse(message)?;
        let mut lines = Lines::new(start.end, start.starts);
        let (mut via, mut from, mut to, mut call_id, mut cseq) = (None, None, None, None, None);
        loop {
            let next = lines.read();
            for line in lines.batch() {
                let Some((name, colon)) = name(message, line.start())? else { continue };
                add(runs, *line)?;
                if name == Name::Via && via.is_some() {
                    continue;
                }
                let (text, value) = value(message, *line, colon);
                match name {
                    Name::Via => via = Some(Via::parse(text, value).map_err(|Malformed| Unanswered::MalformedVia)?),
                    Name::From => set_first(&mut from, from_tag(text, value)),
                    Name::To if to.is_some() => return Err(Unanswered::Duplicate),
                    Name::To => to = Some(to_without_tag(text, value)?),
                    Name::CallId => set_first(&mut call_id, Span::new(value, text.end())),
                    Name::Cseq => set_first(&mut cseq, cseq_number(text, value)),
                }
            }
            match next {
                Next::Lines => {}
                Next::Body => break,
                Next::Malformed => return Err(Unanswered::Headers),
            }
        }
        Ok(Self {
            message,
            method: start.method,
            uri: start.request_uri,
            via: via.ok_or(Unanswered::NoVia)?,
            to: to.ok_or(Unanswered::NoTo)?,
            from: from.ok_or(Unanswered::NoFrom)?,
            call_id: call_id.ok_or(Unanswered::NoCallId)?,
            cseq: cseq.ok_or(Unanswered::NoCseq)?,
        })
    }
}

/// Sets the value of a header, unless it has one.
#[inline(always)]
fn set_first(header: &mut Option<Span>, value: Span) {
    header.get_or_insert(value);
}

/// Returns the part of the From header at `at` that identifies the transaction: its tag, or else its whole value.
///
/// A malformed From header does not prevent a response, which only repeats the header.
#[inline(always)]
fn from_tag(text: Value<'_>, at: usize) -> Span {
    let tag = Address::parse(text, at).ok().and_then(|from| from.tag);
    tag.map_or_else(|| Span::new(at, text.end()), |slot| slot.value)
}

/// Parses the To header at `at`, which must have no tag, or an empty one, which Kamailio treats as none.
#[inline(always)]
fn to_without_tag(text: Value<'_>, at: usize) -> Result<Address, Unanswered> {
    let to = Address::parse(text, at).map_err(|Malformed| Unanswered::MalformedTo)?;
    if to.tag.is_none_or(|slot| slot.is_empty(text)) { Ok(to) } else { Err(Unanswered::InDialog) }
}

/// Returns the part of the CSeq header at `at` that identifies the transaction: its digits without leading zeros, or
/// else its whole value.
#[inline(always)]
fn cseq_number(text: Value<'_>, at: usize) -> Span {
    let end = text.skip_digits(at);
    if end == at {
        return Span::new(at, text.end());
    }
    let zeros = text.skip(at, |byte| byte == b'0');
    Span::new(zeros.min(end - 1), end)
}

/// The header lines that a response repeats, in the order of the message. Adjacent lines are one run.
///
/// Not a field of [`Request`], which is moved, because this type is large.
pub(crate) type Runs = ArrayVec<Span, MAX_RUNS>;

/// Adds a line to `runs`.
#[inline(always)]
fn add(runs: &mut Runs, line: Span) -> Result<(), Unanswered> {
    match runs.last_mut() {
        Some(last) if last.end() == line.start() => {
            *last = Span::new(last.start(), line.end());
            Ok(())
        }
        _ => runs.try_push(line).map_err(|_full| Unanswered::Scattered),
    }
}
