//! Messages sent byte for byte, and their fates: answered by sip-filter, passed to the proxy, or lost.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use filter_lab::failure::OrFail as _;
use filter_lab::lab::Lab;
use filter_lab::packet::Packet;
use filter_lab::packet_socket::PacketSocket;
use filter_lab::sip_server::PORT;
use filter_lab::wire::{End, Family};

/// Source port of the messages, which is that of most Vias in the corpus.
pub const CALLER_PORT: u16 = 5062;

/// Time limit for a message to be answered or to reach the server, if one of the two must happen.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Time without a packet after which a message counts as lost, if it may be.
pub const SILENCE: Duration = Duration::from_millis(250);

/// Time for which the wire is read between two reads of the server's socket.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The fate of a message.
#[derive(Debug)]
pub enum Fate {
    /// sip-filter answered it.
    Answered(Packet),
    /// It reached the server's socket unchanged.
    Reached,
    /// Neither happened in time.
    Lost,
}

/// A host that sends the corpus, and a proxy that only listens, so that each response is sip-filter's.
#[derive(Debug)]
pub struct Rig {
    /// The laboratory, whose server has another port.
    pub lab: Lab,
    caller: UdpSocket,
    wire: PacketSocket,
    server: UdpSocket,
}

impl Rig {
    /// Creates a rig. No daemon runs yet.
    ///
    /// # Panics
    ///
    /// If an address cannot be bound.
    #[expect(clippy::new_without_default, reason = "a constructor that takes root is no default")]
    #[track_caller]
    pub fn new() -> Self {
        let lab = Lab::without_server();
        let caller_address = SocketAddr::new(End::Caller.address(Family::V4), CALLER_PORT);
        let caller = lab.outside.bind_udp(caller_address);
        let server = lab.inside.bind_udp(lab.proxy(Family::V4));
        server.set_nonblocking(true).or_fail("cannot make the server's socket non-blocking");
        let wire = lab.packet_socket();
        Self { lab, caller, wire, server }
    }

    /// Sends `message`, the content of `file`, and returns what became of it within `timeout`. The kernel fragments a
    /// message that is too long for one packet.
    ///
    /// # Panics
    ///
    /// If the kernel does not send it, or if it reached the server changed.
    #[track_caller]
    pub fn send(&self, file: &str, message: &[u8], timeout: Duration) -> Fate {
        let proxy = self.lab.proxy(Family::V4);
        self.caller.send_to(message, proxy).or_fail(format_args!("cannot send {file} to {proxy}"));
        let deadline = Instant::now() + timeout;
        let mut buffer = vec![0; 65536];
        while Instant::now() < deadline {
            if let Ok(length) = self.server.recv(&mut buffer) {
                let reached = buffer.get(..length).unwrap_or_default();
                assert_eq!(reached, message, "{file}: received by the server: {}", reached.escape_ascii());
                return Fate::Reached;
            }
            if let Some(response) = self.response(POLL_INTERVAL) {
                return Fate::Answered(response);
            }
        }
        Fate::Lost
    }

    /// Returns the next packet from the proxy's port, or `None` if none comes within `timeout`.
    ///
    /// # Panics
    ///
    /// If a received frame is malformed.
    #[track_caller]
    pub fn response(&self, timeout: Duration) -> Option<Packet> {
        self.wire.receive_packet(timeout, |packet| packet.source.port() == PORT)
    }
}

/// Returns the lines of all headers with this name, each with its continuation lines, without the last line end.
pub fn header_lines(message: &[u8], full: &str, compact: &str) -> Vec<Vec<u8>> {
    let mut headers: Vec<Vec<u8>> = Vec::new();
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        match headers.last_mut() {
            Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => last.extend(line),
            _ if line.trim_ascii().is_empty() => break,
            _ => headers.push(line.to_vec()),
        }
    }
    headers.retain(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(full.as_bytes()) || name.eq_ignore_ascii_case(compact.as_bytes())
    });
    headers.iter().map(|line| line.trim_ascii_end().to_vec()).collect()
}
