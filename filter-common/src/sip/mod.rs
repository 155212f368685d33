//! The SIP grammar that tells a new request from one of an established call.
//!
//! The grammar is that of RFC 3261 section 25.1, and laxer wherever Kamailio is, since an INVITE that the proxy accepts
//! as part of an established call must never be refused.
//!
//! [`Scan`] is written once and runs twice: in the XDP program (by `bpf_loop`, over a per-CPU buffer), and in
//! [`classify`] on the host.

use core::ops::ControlFlow;

use zerocopy::TryFromBytes;

use crate::words::word;

mod body;
mod exempt;
mod method;
mod scan;
mod to;
mod user_part;

pub use body::{BodyScan, body_len, may_hold_several};
pub use method::{Method, SHORTEST_REQUEST};
pub use scan::{Message, Scan};
pub use user_part::UserPart;

/// Maximum number of CR and LF bytes before the start line (RFC 3261 section 7.5). After more, a request is not
/// recognised.
///
/// The keep-alives of RFC 5626 section 3.5.1 are two pairs.
pub const MAX_LEADING_CRLF: u32 = 16;

/// The result of a scan of a request's headers.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromBytes)]
pub enum Decision {
    /// Not proven to be any of the others. The request is passed to the proxy, which parses it fully.
    Undecided = 0,
    /// Well-formed as far as it was read, with one To header, without a To tag and without an exemption: a new call.
    New = 1,
    /// The To header has a tag: the request belongs to a call that is established or being set up.
    InDialog = 2,
    /// The request has an emergency service's URN, `Priority: emergency` or `psap-callback`, or a `Resource-Priority`
    /// of authorities.
    Emergency = 3,
    /// The request has a `Replaces` or `Join` header.
    Replaces = 4,
}

impl Decision {
    /// Returns the decision with a number, which is [`Decision::Undecided`] for unknown numbers.
    #[inline(always)]
    pub fn from_u32(number: u32) -> Self {
        zerocopy::try_transmute!(number).unwrap_or(Self::Undecided)
    }
}

/// A request as the XDP program sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The result of the scan of its headers.
    pub decision: Decision,
    /// The user part of its Request-URI, by which emergency numbers are looked up.
    pub user: UserPart,
    /// Offset of the To tag in the message, if the decision is [`Decision::InDialog`].
    pub tag: u32,
    /// Offset of the empty line after the headers in the message, if the decision is [`Decision::New`].
    pub headers_end: u32,
}

/// Classifies the message of one datagram as the XDP program does.
///
/// The message may have any content, and need not be UTF-8. Returns `None` if it is not a request on which the program
/// acts ([`Method::from_first_words`]), or if it is longer than a datagram.
pub fn classify(message: &[u8]) -> Option<Request> {
    let blank = message.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if blank > MAX_LEADING_CRLF as usize || message.len() > u16::MAX as usize {
        return None;
    }
    let message = message.get(blank..)?;
    if message.len() < SHORTEST_REQUEST as usize {
        return None;
    }
    let (method, length) = Method::from_first_words([word(message, 0), word(message, 8)])?;
    let mut scan = Scan::new(length, message.len() as u32);
    loop {
        if let ControlFlow::Break(decision) = scan.step(message) {
            let [tag, headers_end] = [scan.tag(), scan.headers_end()].map(|offset| blank as u32 + offset);
            return Some(Request { method, decision, user: *scan.user(), tag, headers_end });
        }
    }
}

#[cfg(test)]
mod tests;
