//! The response: the lines of the request that it repeats, with what is put into them, and what is added.

use std::net::SocketAddr;

use super::Refused;
use super::lexis::Span;
use super::params::Slot;
use super::request::{Request, Runs};
use super::tag::TransactionHash;
use super::template::ReplyTemplate;
use super::text::Text;

/// Writes the response to `request`, which has `runs` to repeat and came from `source`, to the beginning of `out`. Its length in octets.
///
/// RFC 3261 section 8.2.6.2: Via, From, To, Call-ID and CSeq are the request's, in its order. Lines of our own end in
/// CRLF, repeated ones as they came.
///
/// # Errors
///
/// [`Refused::TooLong`]: there is not room enough.
pub(super) fn write(
    out: &mut [u8],
    request: &Request<'_>,
    runs: &Runs,
    source: SocketAddr,
    template: &ReplyTemplate,
) -> Result<usize, Refused> {
    let transaction = TransactionHash::new(template.secret(), request);
    let tag = transaction.tag(template.secret());
    let address = Text::address(source.ip());
    let port = Text::decimal(u32::from(source.port()));
    let edits = edits(request, source, address.as_octets(), port.as_octets(), &tag);

    let mut writer = Writer { out, len: 0 };
    writer.put(template.status_line())?;
    writer.repeat(request.message, runs, &edits)?;
    if let Some(seconds) = template.retry_after(transaction) {
        writer.put(b"Retry-After: ")?;
        writer.put(Text::decimal(seconds).as_octets())?;
        writer.put(b"\r\n")?;
    }
    writer.put(b"Content-Length: 0\r\n\r\n")?;
    Ok(writer.len)
}

/// A change to what is repeated: instead of the octets at `at`, `prefix` and `value`.
#[derive(Clone, Copy, Debug)]
struct Edit<'t> {
    at: Span,
    prefix: &'static [u8],
    value: &'t [u8],
}

impl<'t> Edit<'t> {
    /// Sets the value of a parameter that is there.
    const fn set(slot: Slot, value: &'t [u8]) -> Self {
        let prefix: &[u8] = if slot.equals { b"" } else { b"=" };
        Self { at: slot.value, prefix, value }
    }

    /// Adds a parameter; `prefix` is its name, with the semicolon and the equals sign.
    const fn add(at: usize, prefix: &'static [u8], value: &'t [u8]) -> Self {
        Self { at: Span::new(at, at), prefix, value }
    }

    /// No change, after all others.
    const NONE: Self = Self { at: Span::new(usize::MAX, usize::MAX), prefix: b"", value: b"" };
}

/// What is put into the topmost Via and into To, in the order of its places.
#[inline(always)]
fn edits<'t>(
    request: &Request<'_>,
    source: SocketAddr,
    address: &'t [u8],
    port: &'t [u8],
    tag: &'t [u8],
) -> [Edit<'t>; 3] {
    let via = &request.via;
    let rport = via.rport.map_or(Edit::NONE, |slot| Edit::set(slot, port));
    let received = match via.received {
        // Whoever put it there, the value that counts is ours (RFC 3261 section 18.2.1).
        Some(slot) => Edit::set(slot, address),
        // RFC 3581 section 4: with rport always, even if it says nothing new.
        None if via.rport.is_some() || !via.is_sent_by(request.message, source.ip(), address) => {
            Edit::add(via.end, b";received=", address)
        }
        None => Edit::NONE,
    };
    // Both may be at the same place, if rport comes last and has no value: then it is first.
    let (first, second) = if received.at.start() < rport.at.start() { (received, rport) } else { (rport, received) };
    let tag = match request.to.tag {
        // Two tags, one of them empty, would be read differently by different parsers.
        Some(slot) => Edit::set(slot, tag),
        None => Edit::add(request.to.end, b";tag=", tag),
    };
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
    fn put(&mut self, octets: &[u8]) -> Result<(), Refused> {
        let end = self.len + octets.len();
        self.out.get_mut(self.len..end).ok_or(Refused::TooLong)?.copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    /// The header lines of `message` that `runs` notes, with `edits`, which are in the order of their places.
    #[inline(always)]
    fn repeat(&mut self, message: &[u8], runs: &Runs, edits: &[Edit<'_>]) -> Result<(), Refused> {
        let mut edits = edits.iter().peekable();
        for run in runs.as_slice() {
            let mut at = run.start();
            // An edit is never at the end of a run, since a newline follows each value.
            while let Some(edit) = edits.next_if(|edit| edit.at.start() < run.end()) {
                self.put(Span::new(at, edit.at.start()).of(message))?;
                self.put(edit.prefix)?;
                self.put(edit.value)?;
                at = edit.at.end();
            }
            self.put(Span::new(at, run.end()).of(message))?;
        }
        Ok(())
    }
}
