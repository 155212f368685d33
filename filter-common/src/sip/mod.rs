//! The SIP grammar by which a request is told to be new: RFC 3261 section 25.1, and where Kamailio is laxer,
//! laxer still, since an INVITE that the proxy would pass must never be answered.
//!
//! [`Scan`] is written once and driven twice: by the XDP program (`bpf_loop`, over a per-CPU buffer) and by
//! [`classify`] on the host.

use core::ops::ControlFlow;

mod exempt;
mod method;
mod scan;
mod to;

pub use exempt::UserPart;
pub use method::{Method, SHORTEST_REQUEST};
pub use scan::{Message, Scan};

/// How many CR and LF before the start line are skipped (RFC 3261 section 7.5; keep-alives of RFC 5626 section 3.5.1
/// are two pairs). An INVITE after more of them is not looked for.
pub const MAX_LEADING_CRLF: u32 = 16;

/// What is known of a request once its headers have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Well-formed as far as it was read, one To header, no To tag, and nothing that exempts it: it would set up a call.
    New,
    /// Its To header has a tag: it belongs to a call that is up, or being set up.
    InDialog,
    /// Not proven to be either: it is passed to the proxy, which knows better.
    Undecided,
    /// An emergency service's URN, `Priority: emergency` or `psap-callback`, or a `Resource-Priority` of authorities.
    Emergency,
    /// It has `Replaces` or `Join`.
    Replaces,
}

/// A request as the XDP program sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// What its headers say.
    pub decision: Decision,
    /// The user part of its Request-URI, to be looked up in the set of emergency numbers.
    pub user: UserPart,
    /// Where its To tag begins, in octets from the beginning of the message, if it is [`Decision::InDialog`].
    pub tag: u32,
}

/// Reads the message of one datagram. `None`: not a request of a [`Method`] that is looked at, or longer than a datagram.
///
/// The message may have any content; nothing of it is required to be UTF-8.
pub fn classify(message: &[u8]) -> Option<Request> {
    let blank = message.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
    if blank > MAX_LEADING_CRLF as usize || message.len() > u16::MAX as usize {
        return None;
    }
    let message = &message[blank..];
    let first: &[u8; SHORTEST_REQUEST as usize] = message.first_chunk()?;
    let (words, _) = first.as_chunks();
    let (method, length) = Method::from_first_words([words[0], words[1]].map(u64::from_le_bytes))?;
    let mut scan = Scan::new(length, message.len() as u32);
    loop {
        if let ControlFlow::Break(decision) = scan.turn(message) {
            let tag = blank as u32 + scan.tag();
            return Some(Request { method, decision, user: *scan.user(), tag });
        }
    }
}

#[cfg(test)]
mod tests;
