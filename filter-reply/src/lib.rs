//! The packet path of sip-filter's responder: from the frame of a request to the frame of its response.
//!
//! [`respond`] is the entry point. A responder thread calls it for each frame that the XDP program has redirected, with
//! a [`ResponseTemplate`] for the parts that all responses share. The steps, in order:
//!
//! 1. `frame::datagram` parses the Ethernet, IP and UDP headers, with the same code as the XDP program
//!    ([`filter_common::net`]);
//! 2. `sip::request` parses the message as far as the response needs it: the start line, and the headers Via, From, To,
//!    Call-ID and CSeq;
//! 3. `response` writes the message of the response: these headers, byte for byte, with `received` and `rport` in the
//!    topmost Via (RFC 3261 section 18.2.1, RFC 3581) and a tag in To that `tag` computes;
//! 4. `frame::envelope` writes the headers of the response's frame in front of it: addresses swapped, real checksums.
//!
//! If a step fails, there is no response, and [`Unanswered`] says why.
//!
//! # Invariants
//!
//! The input is hostile. For any input, [`respond`]
//!
//! * never panics;
//! * never allocates (`tests/allocation.rs`);
//! * writes at most one datagram, which goes to the IP address that the request came from and is at most
//!   [`MAX_GROWTH`] bytes longer than the request;
//! * returns the same bytes for the same request and template, as a stateless UAS has to (RFC 3261 section 8.2.7).
//!
//! The crate has no socket, no clock and no I/O, so that tests and fuzz targets can run the whole path on bytes.
//!
//! # Examples
//!
//! ```
//! use filter_reply::{Refusal, ResponseTemplate, TagSecret, respond};
//!
//! let message = b"INVITE sip:bob@198.18.0.2 SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 198.18.0.1:5060;branch=z9hG4bK776;rport\r\n\
//!     From: <sip:alice@198.18.0.1>;tag=1928\r\n\
//!     To: <sip:bob@198.18.0.2>\r\n\
//!     Call-ID: a84b4c76@198.18.0.1\r\n\
//!     CSeq: 1 INVITE\r\n\r\n";
//! let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
//! // IPv4 and UDP, from 198.18.0.1:5060 to 198.18.0.2:5060.
//! frame.extend([0x45, 0, 0, 28 + message.len() as u8, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2]);
//! frame.extend([0x13, 0xc4, 0x13, 0xc4, 0, 8 + message.len() as u8, 0, 0]);
//! frame.extend(message);
//!
//! let template = ResponseTemplate::new(&Refusal::default(), &TagSecret::from_random(&[7; 24]));
//! let mut out = [0; 2048];
//! let response = respond(&frame, 1500, &mut out, &template)?;
//!
//! assert!(out[42..response.len].starts_with(b"SIP/2.0 503 Maintenance\r\nVia: SIP/2.0/UDP 198.18.0.1:5060;"));
//! assert_eq!(response.summary.call_id, b"a84b4c76@198.18.0.1");
//! # Ok::<(), filter_reply::Unanswered>(())
//! ```

// Unsafe code is confined to `sip::lanes`.
#![deny(unsafe_code)]

mod byte_table;
mod frame;
mod number;
mod refusal;
mod response;
mod sip;
mod tag;
mod template;
mod text;
mod unanswered;

use std::net::SocketAddr;

use filter_common::sip::Method;

pub use number::parse_decimal;
pub use refusal::{
    InvalidReasonPhrase, InvalidRetryAfter, InvalidStatusCode, ReasonPhrase, Refusal, RetryAfter, StatusCode,
};
pub use tag::{InvalidTagPrefix, TAG_LEN, TagSecret};
pub use template::ResponseTemplate;
pub use unanswered::Unanswered;

use frame::datagram::Datagram;
use frame::envelope::{self, EnvelopeLen};
use sip::request::{Request, Runs};

/// Maximum number of bytes by which a response is longer than its request, both counted as UDP payload.
///
/// Bounds the amplification for an attacker who forges source addresses.
pub const MAX_GROWTH: usize = 200;

/// A response written by [`respond`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'f> {
    /// Length of the frame in bytes, from the Ethernet header on.
    pub len: usize,
    /// The request that the response answers.
    pub summary: Summary<'f>,
}

/// The parts of an answered request by which it can be reported.
///
/// The slices are hostile bytes, not even UTF-8. They have to be escaped before they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary<'f> {
    /// Source address and port of the request's packet.
    pub source: SocketAddr,
    /// Method.
    pub method: Method,
    /// Request-URI.
    pub request_uri: &'f [u8],
    /// Value of the Call-ID header.
    pub call_id: &'f [u8],
}

/// Responds to the request in `frame`: writes the frame of the response to the beginning of `out`.
///
/// Both frames begin with the Ethernet header. `mtu` is the MTU of the interface in bytes. The response's IP packet may
/// not be longer, because nothing fragments packets that an AF_XDP socket sends.
///
/// # Errors
///
/// The reason why there is no response. The content of `out` is then unspecified.
pub fn respond<'f>(
    frame: &'f [u8],
    mtu: usize,
    out: &mut [u8],
    template: &ResponseTemplate,
) -> Result<Response<'f>, Unanswered> {
    let datagram = Datagram::parse(frame)?;
    let mut runs = Runs::new();
    let request = Request::parse(datagram.message, &mut runs)?;
    let port = request.via.reply_port(datagram.source.port(), template.forces_rport());

    let envelope = EnvelopeLen::new(&datagram);
    let room = out.get_mut(envelope.total()..).ok_or(Unanswered::TooLong)?;
    let message_len = response::write(room, &request, &runs, datagram.source, template)?;
    if message_len > datagram.message.len() + MAX_GROWTH {
        return Err(Unanswered::Amplification);
    }
    if envelope.packet() + message_len > mtu {
        return Err(Unanswered::TooLong);
    }
    let len = envelope::write(out, &datagram, port, message_len)?;
    let summary = Summary {
        source: datagram.source,
        method: request.method,
        request_uri: request.uri,
        call_id: request.call_id.slice(datagram.message),
    };
    Ok(Response { len, summary })
}
