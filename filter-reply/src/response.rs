//! The response: the lines of the request that it repeats, with what is put into them, and what is added.

use std::net::SocketAddr;

use super::Unanswered;
use super::tag::{self, TransactionHash};
use super::template::ReplyTemplate;
use super::text::{Text, decimal};
use crate::sip::lexis::Span;
use crate::sip::params::Slot;
use crate::sip::request::{Request, Runs};

/// Writes the response to `request`, which has `runs` to repeat and came from `source`, to the beginning of `out`. Its length in octets.
///
/// RFC 3261 section 8.2.6.2: Via, From, To, Call-ID and CSeq are the request's, in its order. Lines of our own end in
/// CRLF, repeated ones as they came.
///
/// # Errors
///
/// [`Unanswered::TooLong`]: there is not room enough.
pub(super) fn write(
    out: &mut [u8],
    request: &Request<'_>,
    runs: &Runs,
    source: SocketAddr,
    template: &ReplyTemplate,
) -> Result<usize, Unanswered> {
    let transaction = TransactionHash::new(template.secret(), request);
    let tag = transaction.parameter(template.secret());
    let address = Text::address(RECEIVED, source.ip());
    let port = Text::decimal(RPORT, u32::from(source.port()));
    let ours = Ours {
        received: Parameter { octets: address.as_octets(), value: RECEIVED.len() },
        rport: Parameter { octets: port.as_octets(), value: RPORT.len() },
        tag: Parameter { octets: &tag, value: tag::PARAMETER.len() },
    };
    let edits = edits(request, source, &ours);

    let mut writer = Writer { out, len: 0 };
    writer.put(template.status_line())?;
    writer.repeat(request.message, runs, &edits)?;
    if let Some(seconds) = template.retry_after(transaction) {
        writer.put(b"Retry-After: ")?;
        writer.put_decimal(seconds)?;
        writer.put(b"\r\nContent-Length: 0\r\n\r\n")?;
    } else {
        writer.put(b"Content-Length: 0\r\n\r\n")?;
    }
    Ok(writer.len)
}

const RECEIVED: &[u8; 10] = b";received=";
/// What is put behind the name, which is there.
const RPORT: &[u8; 1] = b"=";

/// A parameter that is ours to set.
#[derive(Clone, Copy, Debug)]
struct Parameter<'t> {
    /// Semicolon and name, equals sign, value.
    octets: &'t [u8],
    /// Where the value begins, right after the equals sign.
    value: usize,
}

impl<'t> Parameter<'t> {
    /// The value alone.
    #[inline(always)]
    fn value(self) -> &'t [u8] {
        self.octets.get(self.value..).unwrap_or_default()
    }

    /// Sets the value of the parameter where it is there.
    #[inline(always)]
    fn set(self, slot: Slot) -> Edit<'t> {
        let start = self.value - usize::from(!slot.equals);
        Edit { at: slot.value, octets: self.octets.get(start..).unwrap_or_default() }
    }

    /// Adds the parameter.
    #[inline(always)]
    fn add(self, at: usize) -> Edit<'t> {
        Edit { at: Span::new(at, at), octets: self.octets }
    }
}

/// All that are ours to set.
#[derive(Clone, Copy, Debug)]
struct Ours<'t> {
    received: Parameter<'t>,
    rport: Parameter<'t>,
    tag: Parameter<'t>,
}

/// A change to what is repeated: other octets instead of those at `at`.
#[derive(Clone, Copy, Debug)]
struct Edit<'t> {
    at: Span,
    octets: &'t [u8],
}

impl Edit<'_> {
    /// No change, after all others.
    const NONE: Self = Self { at: Span::new(usize::MAX, usize::MAX), octets: b"" };
}

/// What is put into the topmost Via and into To, in the order of its places.
#[inline(always)]
fn edits<'t>(request: &Request<'_>, source: SocketAddr, ours: &Ours<'t>) -> [Edit<'t>; 3] {
    let via = &request.via;
    let rport = via.rport.map_or(Edit::NONE, |slot| ours.rport.set(slot));
    let received = match via.received {
        // Whoever put it there, the value that counts is ours (RFC 3261 section 18.2.1).
        Some(slot) => ours.received.set(slot),
        // RFC 3581 section 4: with rport always, even if it says nothing new.
        None if via.rport.is_some() || !via.is_sent_by(request.message, source.ip(), ours.received.value()) => {
            ours.received.add(via.end)
        }
        None => Edit::NONE,
    };
    // Both may be at the same place, if rport comes last and has no value: then it is first.
    let (first, second) = if received.at.start() < rport.at.start() { (received, rport) } else { (rport, received) };
    // Two tags, one of them empty, would be read differently by different parsers.
    let tag = request.to.tag.map_or_else(|| ours.tag.add(request.to.end), |slot| ours.tag.set(slot));
    if tag.at.start() < first.at.start() {
        [tag, first, second]
    } else if tag.at.start() < second.at.start() {
        // Not between the two of a Via, so `second` is none.
        [first, tag, second]
    } else {
        [first, second, tag]
    }
}

/// Writes to a buffer of a fixed size.
struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl Writer<'_> {
    #[inline(always)]
    fn put(&mut self, octets: &[u8]) -> Result<(), Unanswered> {
        let end = self.len + octets.len();
        self.out.get_mut(self.len..end).ok_or(Unanswered::TooLong)?.copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    /// Writes a decimal number, where the lines after it follow at once.
    ///
    /// More than its digits, since a copy of always as many octets need not ask how many; the rest is written over.
    #[inline(always)]
    fn put_decimal(&mut self, number: u32) -> Result<(), Unanswered> {
        let (digits, len) = decimal(number);
        let room = self.out.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut).ok_or(Unanswered::TooLong)?;
        *room = digits;
        self.len += len;
        Ok(())
    }

    /// The header lines of `message` that `runs` notes, with `edits`, which are in the order of their places.
    #[inline(always)]
    fn repeat(&mut self, message: &[u8], runs: &Runs, edits: &[Edit<'_>]) -> Result<(), Unanswered> {
        let mut edits = edits.iter().peekable();
        for run in runs {
            let mut at = run.start();
            // An edit is never at the end of a run, since a newline follows each value.
            while let Some(edit) = edits.next_if(|edit| edit.at.start() < run.end()) {
                self.put(Span::new(at, edit.at.start()).of(message))?;
                self.put(edit.octets)?;
                at = edit.at.end();
            }
            self.put(Span::new(at, run.end()).of(message))?;
        }
        Ok(())
    }
}
