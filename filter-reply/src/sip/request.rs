//! What the responder needs of a SIP request, in one pass over its headers; the body is never read.

use arrayvec::ArrayVec;

use super::address::Address;
use super::headers::{Name, name, value};
use super::lexis::{Span, Value};
use super::lines::{After, Lines};
use super::start_line::{Method, StartLine};
use super::via::Via;
use crate::Unanswered;

/// How many separate runs of header lines a response can be made of.
///
/// Neighbours count as one run. Requests have two or three; one with more than this has Via headers strewn between others.
const MAX_RUNS: usize = 64;

/// A request that can be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'m> {
    pub(crate) message: &'m [u8],
    pub(crate) method: Method,
    pub(crate) request_uri: &'m [u8],
    /// The topmost Via.
    pub(crate) via: Via,
    /// The To header, whose tag is empty or missing.
    pub(crate) to: Address,
    /// The tag of the From header; all of its value, should it have none.
    pub(crate) from: Span,
    /// The value of the Call-ID header.
    pub(crate) call_id: Span,
    /// The digits of the CSeq header without leading zeros.
    pub(crate) cseq: Span,
}

impl<'m> Request<'m> {
    /// Reads `message`, the payload of one datagram, and notes in `runs`, which is empty, what the response repeats.
    pub(crate) fn parse(message: &'m [u8], runs: &mut Runs) -> Result<Self, Unanswered> {
        if message.len() > usize::from(u16::MAX) {
            return Err(Unanswered::Unreadable);
        }
        let start = StartLine::parse(message)?;
        let mut lines = Lines::new(start.end, start.starts);
        let (mut via, mut from, mut to, mut call_id, mut cseq) = (None, None, None, None, None);
        loop {
            let after = lines.read();
            for line in lines.noted() {
                let Some((name, colon)) = name(message, line.start())? else { continue };
                add(runs, *line)?;
                if name == Name::Via && via.is_some() {
                    continue;
                }
                let (text, value) = value(message, *line, colon);
                match name {
                    Name::Via => via = Some(Via::parse(text, value).map_err(|_| Unanswered::MalformedVia)?),
                    Name::From => once(&mut from, from_tag(text, value))?,
                    Name::To => once(&mut to, new_to(text, value)?)?,
                    Name::CallId => once(&mut call_id, Span::new(value, text.end()))?,
                    Name::Cseq => once(&mut cseq, cseq_number(text, value, start.method)?)?,
                }
            }
            match after {
                After::Lines => {}
                After::Body => break,
                After::Nothing => return Err(Unanswered::Headers),
            }
        }
        Ok(Self {
            message,
            method: start.method,
            request_uri: start.request_uri,
            via: via.ok_or(Unanswered::NoVia)?,
            to: to.ok_or(Unanswered::NoTo)?,
            from: from.ok_or(Unanswered::NoFrom)?,
            call_id: call_id.ok_or(Unanswered::NoCallId)?,
            cseq: cseq.ok_or(Unanswered::NoCseq)?,
        })
    }
}

/// Keeps `value` of a header that there may be only once.
#[inline(always)]
fn once<T>(kept: &mut Option<T>, value: T) -> Result<(), Unanswered> {
    if kept.replace(value).is_some() { Err(Unanswered::Duplicate) } else { Ok(()) }
}

/// What the From header at `at` contributes to the identity of the transaction.
///
/// One that the grammar does not have is no reason for silence: it is only repeated.
#[inline(always)]
fn from_tag(text: Value<'_>, at: usize) -> Span {
    let tag = Address::parse(text, at).ok().and_then(|from| from.tag);
    tag.map_or(Span::new(at, text.end()), |slot| slot.value)
}

/// The To header at `at`, which has no tag, or an empty one (Kamailio counts that as none).
#[inline(always)]
fn new_to(text: Value<'_>, at: usize) -> Result<Address, Unanswered> {
    let to = Address::parse(text, at).map_err(|_| Unanswered::MalformedTo)?;
    match to.tag.map(|slot| text.of(slot.value)) {
        None | Some(b"" | b"\"\"") => Ok(to),
        Some(_) => Err(Unanswered::InDialog),
    }
}

/// The number of the CSeq header at `at`: `1*DIGIT LWS Method`. Its size is not looked at, since it is only repeated.
#[inline(always)]
fn cseq_number(text: Value<'_>, at: usize, method: Method) -> Result<Span, Unanswered> {
    let end = text.skip_digits(at);
    let name = text.skip_white(end);
    if end == at || name == end {
        return Err(Unanswered::MalformedCseq);
    }
    if !method.is(text.from(name)) {
        return Err(Unanswered::CseqMethod);
    }
    let zeros = text.skip(at, |octet| octet == b'0');
    Ok(Span::new(zeros.min(end - 1), end))
}

/// The header lines that a response repeats, as runs of whole lines that stand side by side, in the order of the message.
///
/// Not a part of [`Request`], which is moved about.
pub(crate) type Runs = ArrayVec<Span, MAX_RUNS>;

#[inline(always)]
fn add(runs: &mut Runs, line: Span) -> Result<(), Unanswered> {
    match runs.last_mut() {
        Some(last) if last.end() == line.start() => {
            *last = Span::new(last.start(), line.end());
            Ok(())
        }
        _ => runs.try_push(line).map_err(|_| Unanswered::Scattered),
    }
}
