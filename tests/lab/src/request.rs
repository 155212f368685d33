//! Requests as real user agents send them, each with its own branch, Call-ID and tag.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

/// A request before it is sent. Headers keep their order, and a test may change any of them.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Request-URI.
    pub uri: String,
    /// Names and values, in the order in which they are sent. Content-Length is added after them.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Request {
    /// Creates a request outside of any dialog, with the headers that RFC 3261 8.1.1 requires.
    pub fn new(method: &str, local: SocketAddr, proxy: SocketAddr) -> Self {
        let mut request = Self {
            method: method.to_owned(),
            uri: format!("sip:+4930123456@{proxy}"),
            headers: Vec::new(),
            body: String::new(),
        };
        request.push("Via", &format!("SIP/2.0/UDP {local};branch={};rport", fresh_branch()));
        request.push("Max-Forwards", "70");
        request.push("From", &format!("\"Alice Liddell\" <sip:alice@{}>;tag={}", host(local), fresh("from-")));
        request.push("To", &format!("<sip:+4930123456@{}>", host(proxy)));
        request.push("Call-ID", &format!("{}@{}", fresh("call-"), host(local)));
        request.push("CSeq", &format!("{} {method}", 1 + fresh_number() % 9000));
        request.push("Contact", &format!("<sip:alice@{local};transport=udp>"));
        request.push("User-Agent", "sip-filter laboratory");
        request
    }

    /// Creates the INVITE of a new call, of some 950 bytes with its SDP.
    pub fn invite(local: SocketAddr, proxy: SocketAddr) -> Self {
        let mut request = Self::new("INVITE", local, proxy);
        request.push("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK, NOTIFY, REFER");
        request.push("Supported", "replaces, timer, path");
        request.push("Session-Expires", "1800;refresher=uac");
        request.push("Min-SE", "90");
        request.offer(local);
        request
    }

    /// Adds an SDP offer.
    pub fn offer(&mut self, local: SocketAddr) {
        let (family, address) = (if local.is_ipv4() { "IP4" } else { "IP6" }, local.ip());
        self.push("Content-Type", "application/sdp");
        self.body = format!(
            "v=0\r\no=alice 2890844526 2890844526 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n\
             m=audio 30000 RTP/AVP 8 0 9 18 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:9 G722/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        );
    }

    /// Appends a header.
    pub fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Replaces the value of the first header `name`, or appends the header.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.headers.iter_mut().find(|(found, _)| found == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.push(name, value),
        }
    }

    /// Returns the value of the first header `name`, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Makes the request longer than `size` bytes, with a header that nobody reads.
    pub fn pad_beyond(&mut self, size: usize) {
        let missing = (size + 1).saturating_sub(self.to_bytes().len());
        self.push("X-Padding", &"x".repeat(missing));
    }

    /// Returns the bytes of the message.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {} SIP/2.0\r\n", self.method, self.uri)?;
        for (name, value) in &self.headers {
            write!(formatter, "{name}: {value}\r\n")?;
        }
        write!(formatter, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}

/// Returns a branch that no other transaction has.
pub fn fresh_branch() -> String {
    fresh("z9hG4bK-")
}

/// Returns a string with this prefix that no other call returns.
pub fn fresh(prefix: &str) -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{prefix}{:x}{random:016x}", fresh_number())
}

fn fresh_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Returns the host part of a URI: an IPv6 address is in brackets.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::Request;
    use crate::message::Message;

    #[test]
    fn invite_is_as_long_as_real_ones_and_different_each_time() {
        let (local, proxy) = ("198.18.0.1:5062".parse().unwrap(), "198.18.0.2:5060".parse().unwrap());
        let (one, other) = (Request::invite(local, proxy), Request::invite(local, proxy));
        assert!((900..1000).contains(&one.to_bytes().len()), "{} bytes:\n{one}", one.to_bytes().len());
        for name in ["Via", "From", "Call-ID"] {
            assert_ne!(one.header(name), other.header(name));
        }
        let message = Message::parse(&one.to_bytes()).unwrap();
        assert_eq!(message.method(), Some("INVITE"));
        assert_eq!(message.header("Content-Length"), Some(one.body.len().to_string().as_str()));
        assert_eq!(message.header("To").and_then(Message::tag), None);
    }
}
