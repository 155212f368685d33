//! The packet path of sip-filter: a request's frame in, the frame of its response out.
//!
//! It answers as a stateless UAS does (RFC 3261 section 8.2.7): the response is a function of the request, so that a
//! retransmission gets the same bytes. Its input is hostile network data: it never panics, never allocates, and writes at
//! most one datagram, to where the request came from.

mod frame;
mod refusal;
mod response;
mod sip;
mod tag;
mod template;
mod text;
mod unanswered;

use std::net::SocketAddr;

pub use refusal::{
    InvalidReasonPhrase, InvalidRetryAfter, InvalidStatusCode, ReasonPhrase, Refusal, RetryAfter, StatusCode,
    parse_decimal,
};
pub use sip::start_line::Method;
pub use tag::{TAG_LEN, TagSecret};
pub use template::{ReplyTemplate, TemplateError};
pub use unanswered::Unanswered;

use frame::datagram::Datagram;
use frame::envelope;
use sip::request::{Request, Runs};

/// How many octets longer than its request a response may be, both counted as UDP payload.
///
/// It bounds what somebody gains who has us send responses to a forged source address.
pub const MAX_GROWTH: usize = 200;

/// A response that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'f> {
    /// The length of the response's frame, from its Ethernet header on, in octets.
    pub len: usize,
    /// What was answered.
    pub summary: Summary<'f>,
}

/// What the log says of a refused request. Its slices are hostile octets, not even UTF-8: escape them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary<'f> {
    /// Source address and port of the request's packet; where the response goes, but for the port.
    pub source: SocketAddr,
    /// The request's method.
    pub method: Method,
    /// The Request-URI.
    pub request_uri: &'f [u8],
    /// The value of the Call-ID header.
    pub call_id: &'f [u8],
}

/// Answers the request in `frame`, both from the Ethernet header on, into `out`.
///
/// `mtu` is that of the interface: the most octets that the response's IP packet may have, since nobody fragments
/// it behind an AF_XDP socket.
///
/// # Errors
///
/// The reason for which no response is to be sent. What `out` holds then has no meaning.
pub fn answer<'f>(
    frame: &'f [u8],
    mtu: usize,
    out: &mut [u8],
    template: &ReplyTemplate,
) -> Result<Answer<'f>, Unanswered> {
    let datagram = Datagram::read(frame)?;
    let mut runs = Runs::new();
    let request = Request::parse(datagram.message, &mut runs)?;
    let port = request.via.reply_port(datagram.source.port())?;

    let envelope = envelope::len(&datagram);
    let room = out.get_mut(envelope.total()..).ok_or(Unanswered::TooLong)?;
    let message = response::write(room, &request, &runs, datagram.source, template)?;
    if message > datagram.message.len() + MAX_GROWTH {
        return Err(Unanswered::Amplification);
    }
    if envelope.packet() + message > mtu {
        return Err(Unanswered::TooLong);
    }
    let len = envelope::write(out, &datagram, port, message)?;
    let summary = Summary {
        source: datagram.source,
        method: request.method,
        request_uri: request.request_uri,
        call_id: request.call_id.of(datagram.message),
    };
    Ok(Answer { len, summary })
}
