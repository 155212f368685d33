//! The SIP grammar by which an INVITE is told to be new: RFC 3261 section 25.1, and where Kamailio is laxer,
//! laxer still, since an INVITE that the proxy would pass must never be answered.
//!
//! [`Scan`] is written once and driven twice: by the XDP program (`bpf_loop`, over a per-CPU buffer) and by
//! [`classify`] on the host.

mod scan;
mod to;
mod words;

pub use scan::{Message, Scan};

/// How many CR and LF before the start line are skipped (RFC 3261 section 7.5; keep-alives of RFC 5626 section 3.5.1
/// are two pairs). A message with more of them is [`Decision::Undecided`].
pub const MAX_LEADING_CRLF: u32 = 16;

/// How an INVITE begins. Methods are case-sensitive (RFC 3261 section 7.1).
pub const INVITE: [u8; 7] = *b"INVITE ";

/// What is known of an INVITE once its headers have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Well-formed as far as it was read, one To header, no To tag: it would set up a call.
    New,
    /// Its To header has a tag: it belongs to a call that is up, or being set up.
    InDialog,
    /// Not proven to be either: it is passed to the proxy, which knows better.
    Undecided,
}

/// Decides on the message of one datagram. `None`: not an INVITE.
///
/// The message may have any content; nothing of it is required to be UTF-8.
pub fn classify(message: &[u8]) -> Option<Decision> {
    let blank = message.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if !message[blank..].starts_with(&INVITE) {
        return None;
    }
    if blank > MAX_LEADING_CRLF as usize || message.len() > u32::MAX as usize - 64 {
        return Some(Decision::Undecided);
    }
    let mut scan = Scan::new((blank + INVITE.len()) as u32, message.len() as u32);
    loop {
        if let Some(decision) = scan.turn(message) {
            return Some(decision);
        }
    }
}

#[cfg(test)]
mod tests;
