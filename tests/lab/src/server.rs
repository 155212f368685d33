//! The proxy of the laboratory: a SIP server on UDP that takes each call and writes down what reached it.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::message::Message;
use crate::namespace::Namespace;
use crate::request::fresh;
use crate::wait;
use crate::wire::{End, Family};

/// The port of SIP.
pub const PORT: u16 = 5060;

/// How long it takes at most until the server sees that it has to end.
const TICK: Duration = Duration::from_millis(50);

/// A running server; it ends when this value goes.
#[derive(Debug)]
pub struct Server {
    seen: Arc<Mutex<Vec<Message>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server in `namespace` on `port`, IPv4 and IPv6.
    pub fn start(namespace: &Namespace, port: u16) -> Result<Self> {
        let socket = namespace.bind_udp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
        socket.set_read_timeout(Some(TICK)).context("set a read timeout")?;
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, end) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || serve(&socket, &log, &end));
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    /// All requests that reached the server so far.
    pub fn requests(&self) -> Vec<Message> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests of `method` with this Call-ID reached the server.
    pub fn count(&self, method: &str, call_id: &str) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|message| message.method() == Some(method) && is_of(message, call_id)).count()
    }

    /// Whether anything with this Call-ID reached the server.
    pub fn saw(&self, call_id: &str) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|message| is_of(message, call_id))
    }

    /// Waits until `method` with this Call-ID has reached the server.
    pub fn wait_for(&self, method: &str, call_id: &str) -> Result<()> {
        let what = format!("{method} of {call_id} at the server");
        wait::until(&what, Duration::from_secs(2), || Ok(self.count(method, call_id) > 0))?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn is_of(message: &Message, call_id: &str) -> bool {
    message.header("Call-ID") == Some(call_id)
}

/// Receives until `stop`; what is not a SIP request is left out of the log and not answered.
fn serve(socket: &UdpSocket, log: &Mutex<Vec<Message>>, stop: &AtomicBool) {
    let mut buffer = vec![0; 65536];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, source)) = socket.recv_from(&mut buffer) else { continue };
        let Ok(request) = Message::parse(&buffer[..length]) else { continue };
        let Some(method) = request.method() else { continue };
        let reply = (method != "ACK").then(|| accept(&request, source));
        // First the log, then the answer: who has the answer may look into the log.
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        if let Some(reply) = reply {
            let _ = socket.send_to(reply.as_bytes(), source);
        }
    }
}

/// The 200 to a request (RFC 3261 8.2.6): its Via, From, To, Call-ID and CSeq, and a To tag if it had none.
///
/// Its Contact is what the request was sent to, and an INVITE gets an SDP answer: real user agents need both to go on.
fn accept(request: &Message, source: SocketAddr) -> String {
    let mut reply = String::from("SIP/2.0 200 OK\r\n");
    for (name, value) in &request.headers {
        match name.to_ascii_lowercase().as_str() {
            "via" | "v" | "from" | "f" | "call-id" | "i" | "cseq" => reply += &format!("{name}: {value}\r\n"),
            "to" | "t" if Message::tag(value).is_some() => reply += &format!("{name}: {value}\r\n"),
            "to" | "t" => reply += &format!("{name}: {value};tag={}\r\n", fresh("server-")),
            _ => {}
        }
    }
    let uri = request.start_line.split(' ').nth(1).unwrap_or_default();
    let answer = if request.method() == Some("INVITE") { answer(source) } else { String::new() };
    if !answer.is_empty() {
        reply += "Content-Type: application/sdp\r\n";
    }
    reply + &format!("Contact: <{uri}>\r\nServer: laboratory\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())
}

/// An SDP answer that takes PCMA and PCMU (RFC 3264) at a port where nobody listens.
fn answer(source: SocketAddr) -> String {
    // The socket is of IPv6, so an IPv4 source is a mapped address.
    let (name, family) = if source.ip().to_canonical().is_ipv4() { ("IP4", Family::V4) } else { ("IP6", Family::V6) };
    let address = End::Proxy.address(family);
    format!(
        "v=0\r\no=- 1 1 IN {name} {address}\r\ns=-\r\nc=IN {name} {address}\r\nt=0 0\r\n\
         m=audio 30000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    )
}
