//! The proxy of the laboratory: a SIP server on UDP that accepts each call and records the requests that reach it.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::failure::OrFail as _;
use crate::message::Message;
use crate::namespace::Namespace;
use crate::request::fresh;
use crate::wait;
use crate::wire::{End, Family};

/// The port of SIP.
pub const PORT: u16 = 5060;

/// Maximum time until the server notices that it has to end.
const TICK: Duration = Duration::from_millis(50);

/// Time within which a request that was sent must have reached the server.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(2);

/// A running server. It ends when this value is dropped.
#[derive(Debug)]
pub struct SipServer {
    seen: Arc<Mutex<Vec<Message>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SipServer {
    /// Starts a server in `namespace` on `port`, IPv4 and IPv6.
    ///
    /// # Panics
    ///
    /// Panics if `port` cannot be bound.
    #[track_caller]
    pub fn start(namespace: &Namespace, port: u16) -> Self {
        let socket = namespace.bind_udp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
        socket.set_read_timeout(Some(TICK)).or_fail("cannot set a read timeout");
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, end) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || serve(&socket, &log, &end));
        Self { seen, stop, thread: Some(thread) }
    }

    /// Returns all requests that have reached the server so far.
    pub fn requests(&self) -> Vec<Message> {
        self.seen().clone()
    }

    /// Returns the number of requests of `method` with this Call-ID that have reached the server.
    pub fn count(&self, method: &str, call_id: &str) -> usize {
        self.seen().iter().filter(|message| message.method() == Some(method) && is_of_call(message, call_id)).count()
    }

    /// Returns the number of requests of `method` that have reached the server.
    pub fn count_all(&self, method: &str) -> usize {
        self.seen().iter().filter(|message| message.method() == Some(method)).count()
    }

    /// Returns whether any request with this Call-ID has reached the server.
    pub fn has_seen(&self, call_id: &str) -> bool {
        self.seen().iter().any(|message| is_of_call(message, call_id))
    }

    /// Waits until a request of `method` with this Call-ID has reached the server.
    ///
    /// # Panics
    ///
    /// Panics if there is none within 2 s.
    #[track_caller]
    pub fn wait_for(&self, method: &str, call_id: &str) {
        let what = format_args!("{method} of {call_id} at the server");
        wait::until(what, ARRIVAL_TIMEOUT, || self.count(method, call_id) > 0);
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Message>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SipServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn is_of_call(message: &Message, call_id: &str) -> bool {
    message.header("Call-ID") == Some(call_id)
}

/// Receives until `stop`. Datagrams that are no SIP request are neither recorded nor answered.
fn serve(socket: &UdpSocket, log: &Mutex<Vec<Message>>, stop: &AtomicBool) {
    let mut buffer = vec![0; 65536];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, source)) = socket.recv_from(&mut buffer) else { continue };
        let Ok(request) = Message::parse(&buffer[..length]) else { continue };
        let Some(method) = request.method() else { continue };
        let response = (method != "ACK").then(|| accept(&request, source));
        // Recorded before it is answered: a caller that has the response may check the record.
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        if let Some(response) = response {
            let _ = socket.send_to(response.as_bytes(), source);
        }
    }
}

/// Creates the 200 to a request (RFC 3261 8.2.6): its Via, From, To, Call-ID and CSeq, and a To tag if it had none.
///
/// The Contact is the Request-URI, and the response to an INVITE has an SDP answer: real user agents require both.
fn accept(request: &Message, source: SocketAddr) -> String {
    let mut lines = vec!["SIP/2.0 200 OK".to_owned()];
    for (name, value) in &request.headers {
        match name.to_ascii_lowercase().as_str() {
            "via" | "v" | "from" | "f" | "call-id" | "i" | "cseq" => lines.push(format!("{name}: {value}")),
            "to" | "t" if Message::tag(value).is_some() => lines.push(format!("{name}: {value}")),
            "to" | "t" => lines.push(format!("{name}: {value};tag={}", fresh("server-"))),
            _ => {}
        }
    }
    let body = if request.method() == Some("INVITE") { sdp_answer(source) } else { String::new() };
    if !body.is_empty() {
        lines.push("Content-Type: application/sdp".to_owned());
    }
    let uri = request.start_line.split(' ').nth(1).unwrap_or_default();
    lines.push(format!("Contact: <{uri}>"));
    lines.push("Server: laboratory".to_owned());
    lines.push(format!("Content-Length: {}", body.len()));
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

/// Creates an SDP answer that accepts PCMA and PCMU (RFC 3264) at a port where nothing listens.
fn sdp_answer(source: SocketAddr) -> String {
    // The socket is an IPv6 one, so an IPv4 source is a mapped address.
    let (name, family) = if source.ip().to_canonical().is_ipv4() { ("IP4", Family::V4) } else { ("IP6", Family::V6) };
    let address = End::Proxy.address(family);
    format!(
        "v=0\r\no=- 1 1 IN {name} {address}\r\ns=-\r\nc=IN {name} {address}\r\nt=0 0\r\n\
         m=audio 30000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    )
}
