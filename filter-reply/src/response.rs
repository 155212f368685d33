//! The response: lines repeated from the request, with edits, and lines of its own (RFC 3261 section 8.2.6).

use std::net::SocketAddr;

use crate::sip::lexis::Span;
use crate::sip::params::Slot;
use crate::sip::request::{Request, Runs};
use crate::tag::{self, TransactionHash};
use crate::template::ResponseTemplate;
use crate::text::Text;
use crate::unanswered::Unanswered;

/// Writes the response to `request`, which came from `source`, to the beginning of `out`. Returns its length in bytes.
///
/// Via, From, To, Call-ID and CSeq are repeated from the request, in its order (RFC 3261 section 8.2.6.2): these are
/// the lines of `runs`. Repeated lines keep their line ends, and all others end in CRLF.
///
/// # Errors
///
/// [`Unanswered::TooLong`] if `out` is too short.
#[inline(always)]
pub(crate) fn write(
    out: &mut [u8],
    request: &Request<'_>,
    runs: &Runs,
    source: SocketAddr,
    template: &ResponseTemplate,
) -> Result<usize, Unanswered> {
    let transaction = TransactionHash::new(template.secret(), request);
    let tag = transaction.tag_parameter(template.secret());
    let address = Text::address(RECEIVED, source.ip());
    let port = Text::decimal(RPORT, source.port());
    let ours = Ours {
        received: Parameter { bytes: address.as_bytes(), value: RECEIVED.len() },
        rport: Parameter { bytes: port.as_bytes(), value: RPORT.len() },
        tag: Parameter { bytes: &tag, value: tag::PARAMETER.len() },
    };
    let edits = edits(request, source, &ours, template.forces_rport());

    let mut writer = Writer { out, len: 0 };
    writer.put(template.status_line())?;
    writer.repeat(request.message, runs, &edits)?;
    if let Some(seconds) = template.retry_after(transaction) {
        writer.put(b"Retry-After: ")?;
        writer.put(itoa::Buffer::new().format(seconds).as_bytes())?;
        writer.put(b"\r\nContent-Length: 0\r\n\r\n")?;
    } else {
        writer.put(b"Content-Length: 0\r\n\r\n")?;
    }
    Ok(writer.len)
}

const RECEIVED: &[u8; 10] = b";received=";
const RPORT: &[u8; 7] = b";rport=";

/// A parameter that the response sets.
#[derive(Clone, Copy, Debug)]
struct Parameter<'t> {
    /// Semicolon and name, equals sign, value.
    bytes: &'t [u8],
    /// Offset of the value, right after the equals sign.
    value: usize,
}

impl<'t> Parameter<'t> {
    /// Returns the value alone.
    #[inline(always)]
    fn value(self) -> &'t [u8] {
        self.bytes.get(self.value..).unwrap_or_default()
    }

    /// Returns the edit that sets the value of a parameter of the request.
    #[inline(always)]
    fn set(self, slot: Slot) -> Edit<'t> {
        let start = self.value - usize::from(!slot.has_equals);
        Edit { at: slot.value, bytes: self.bytes.get(start..).unwrap_or_default() }
    }

    /// Returns the edit that adds the parameter at an offset.
    #[inline(always)]
    fn add(self, at: usize) -> Edit<'t> {
        Edit { at: Span::new(at, at), bytes: self.bytes }
    }
}

/// The parameters that the response sets.
#[derive(Clone, Copy, Debug)]
struct Ours<'t> {
    received: Parameter<'t>,
    rport: Parameter<'t>,
    tag: Parameter<'t>,
}

/// A change to the repeated lines: `bytes` in place of the span `at` of the request.
#[derive(Clone, Copy, Debug)]
struct Edit<'t> {
    at: Span,
    bytes: &'t [u8],
}

impl Edit<'_> {
    /// No change. Its offset is after all others.
    const NONE: Self = Self { at: Span::new(usize::MAX, usize::MAX), bytes: b"" };
}

/// Returns the edits of the topmost Via and of To, in the order of their offsets.
#[inline(always)]
fn edits<'t>(request: &Request<'_>, source: SocketAddr, ours: &Ours<'t>, forces_rport: bool) -> [Edit<'t>; 3] {
    let via = &request.via;
    let rport = match via.rport {
        Some(slot) => ours.rport.set(slot),
        None if forces_rport => ours.rport.add(via.end),
        None => Edit::NONE,
    };
    let received = match via.received {
        // Overwritten: a client must not choose the value (RFC 3261 section 18.2.1).
        Some(slot) => ours.received.set(slot),
        // With rport, it is always added, even if it equals sent-by (RFC 3581 section 4).
        None if via.rport.is_some() || !via.is_sent_by(request.message, source.ip(), ours.received.value()) => {
            ours.received.add(via.end)
        }
        None => Edit::NONE,
    };
    // If rport is added, or comes last and has no value, both can have the same offset, and rport is first.
    let (first, second) = if received.at.start() < rport.at.start() { (received, rport) } else { (rport, received) };
    // An empty tag is filled in: parsers disagree about which of two tags counts.
    let tag = request.to.tag.map_or_else(|| ours.tag.add(request.to.end), |slot| ours.tag.set(slot));
    if tag.at.start() < first.at.start() {
        [tag, first, second]
    } else if tag.at.start() < second.at.start() {
        // To is never between two edits of one Via, so `second` is `Edit::NONE`.
        [first, tag, second]
    } else {
        [first, second, tag]
    }
}

/// Appends to a buffer of a fixed size.
struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl Writer<'_> {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Unanswered> {
        let end = self.len + bytes.len();
        self.out.get_mut(self.len..end).ok_or(Unanswered::TooLong)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// Appends `runs` of `message` with `edits`, which are in the order of their offsets.
    #[inline(always)]
    fn repeat(&mut self, message: &[u8], runs: &Runs, edits: &[Edit<'_>]) -> Result<(), Unanswered> {
        let mut edits = edits.iter().peekable();
        for run in runs {
            let mut at = run.start();
            // No edit is at the end of a run, because a newline follows each value.
            while let Some(edit) = edits.next_if(|edit| edit.at.start() < run.end()) {
                self.put(Span::new(at, edit.at.start()).slice(message))?;
                self.put(edit.bytes)?;
                at = edit.at.end();
            }
            self.put(Span::new(at, run.end()).slice(message))?;
        }
        Ok(())
    }
}
