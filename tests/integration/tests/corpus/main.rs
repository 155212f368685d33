//! The corpus over the wire: sip-filter refuses the messages that Kamailio refuses, with the same headers, and the
//! messages that Kamailio passes reach the server's socket.
//!
//! The differences are listed in `deviations`, with their reasons. A difference that is not listed fails the test, and
//! so does a listed one that no longer occurs.
#![cfg(test)]

mod deviations;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use filter_common::verdict::Verdict;
use filter_lab::corpus;
use filter_lab::lab::Lab;
use filter_lab::packet::Packet;
use filter_lab::packet_socket::PacketSocket;
use filter_lab::sip_server::PORT;
use filter_lab::wire::{End, Family};
use serde_json::Value;

use deviations::{DEVIATIONS, Deviation};

/// Source port of the messages that Kamailio received, as their Via says.
const CALLER_PORT: u16 = 5062;

/// Time limit for a message to be answered or to reach the server, if one of the two must happen.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Time without a packet after which a message counts as lost, if it may be.
const SILENCE: Duration = Duration::from_millis(250);

/// Time for which the wire is read between two reads of the server's socket.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Kamailio's treatment of a message: a line of `expected.jsonl`.
struct Expected {
    file: String,
    verdict: String,
    response: Vec<u8>,
    /// Port to which Kamailio sent the response.
    port: Option<u16>,
}

impl Expected {
    /// Parses a line of `expected.jsonl`.
    #[track_caller]
    fn from_json(line: &str) -> Self {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("expected.jsonl: {error}: {line}"));
        let text = |key: &str| json[key].as_str().unwrap_or_default().replace("SRCPORT", &CALLER_PORT.to_string());
        // The file stores each byte as the character with the same number.
        let byte = |character: char| {
            u8::try_from(character).unwrap_or_else(|_| panic!("expected.jsonl: {character:?} is not a byte: {line}"))
        };
        let reply_to = text("reply_to");
        let port = reply_to.split(' ').next().and_then(|address| address.strip_prefix("198.18.0.1:"));
        let port = port.map(|port| {
            port.parse().unwrap_or_else(|error| panic!("expected.jsonl: port of reply_to {reply_to:?}: {error}"))
        });
        let response = text("response").chars().map(byte).collect();
        Self { file: text("file"), verdict: text("verdict"), response, port }
    }
}

/// Returns Kamailio's treatment of each message.
#[track_caller]
fn expected() -> Vec<Expected> {
    let path = corpus::folder().join("expected.jsonl");
    let lines = fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    lines.lines().map(Expected::from_json).collect()
}

/// The fate of a message.
enum Fate {
    /// sip-filter answered it.
    Answered(Packet),
    /// It reached the server's socket unchanged.
    Reached,
    /// Neither happened in time.
    Lost,
}

/// A host that sends the corpus, and a proxy that only listens, so that each response is sip-filter's.
struct Rig {
    lab: Lab,
    caller: UdpSocket,
    wire: PacketSocket,
    server: UdpSocket,
}

impl Rig {
    #[track_caller]
    fn new() -> Self {
        let lab = Lab::without_server();
        let caller_address = SocketAddr::new(End::Caller.address(Family::V4), CALLER_PORT);
        let caller = lab.outside.bind_udp(caller_address);
        let server = lab.inside.bind_udp(lab.proxy(Family::V4));
        server.set_nonblocking(true).expect("make the server's socket non-blocking");
        let wire = lab.packet_socket();
        Self { lab, caller, wire, server }
    }

    /// Sends `message`, the content of `file`, and returns what became of it within `timeout`. The kernel fragments a
    /// message that is too long for one packet.
    #[track_caller]
    fn send(&self, file: &str, message: &[u8], timeout: Duration) -> Fate {
        let proxy = self.lab.proxy(Family::V4);
        self.caller.send_to(message, proxy).unwrap_or_else(|error| panic!("send {file} to {proxy}: {error}"));
        let deadline = Instant::now() + timeout;
        let mut buffer = vec![0; 65536];
        while Instant::now() < deadline {
            if let Ok(length) = self.server.recv(&mut buffer) {
                let reached = &buffer[..length];
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
    #[track_caller]
    fn response(&self, timeout: Duration) -> Option<Packet> {
        self.wire.receive_packet(timeout, |packet| packet.source.port() == PORT)
    }
}

/// Returns the lines of all headers with this name, each with its continuation lines, without the last line end.
fn header_lines(message: &[u8], full: &str, compact: &str) -> Vec<Vec<u8>> {
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

/// Returns the differences between our response and Kamailio's.
#[track_caller]
fn response_deviations(expected: &Expected, response: &Packet) -> Vec<Deviation> {
    let Expected { file, response: theirs, port, .. } = expected;
    let ours = &response.payload;
    assert!(ours.starts_with(b"SIP/2.0 503 "), "{file}: {}", ours.escape_ascii());
    let port = port.unwrap_or_else(|| panic!("expected.jsonl: {file}: no port in reply_to"));
    let mut deviations = Vec::new();
    if response.destination != SocketAddr::new(End::Caller.address(Family::V4), port) {
        deviations.push(Deviation::Destination);
    }
    for (deviation, full, compact) in [
        (Deviation::Via, "Via", "v"),
        (Deviation::From, "From", "f"),
        (Deviation::CallId, "Call-ID", "i"),
        (Deviation::CSeq, "CSeq", ""),
    ] {
        if header_lines(ours, full, compact) != header_lines(theirs, full, compact) {
            deviations.push(deviation);
        }
    }
    deviations
}

/// Returns the differences between `fate` and Kamailio's treatment of the message.
///
/// # Panics
///
/// If a message that Kamailio passes did not reach the server. No reason can justify that.
#[track_caller]
fn deviations(expected: &Expected, fate: &Fate) -> Vec<Deviation> {
    let file = &expected.file;
    match (expected.verdict.as_str(), fate) {
        ("503", Fate::Answered(response)) => response_deviations(expected, response),
        ("503", Fate::Reached) => vec![Deviation::Passed],
        ("503", Fate::Lost) => vec![Deviation::Unanswered],
        ("pass" | "silent", Fate::Reached) => vec![],
        // Kamailio would not have answered either; to the sender it is the same.
        ("silent", Fate::Lost) => vec![Deviation::Dropped],
        ("silent", Fate::Answered(_)) => vec![Deviation::Refused],
        ("pass", Fate::Answered(response)) => {
            panic!("{file}: answered, but Kamailio passes it:\n{}", response.payload.escape_ascii())
        }
        ("pass", Fate::Lost) => panic!("{file}: never reached the server, but Kamailio passes it"),
        (verdict, _) => panic!("expected.jsonl: {file}: unknown verdict {verdict:?}"),
    }
}

#[test]
fn every_message_of_the_corpus_is_treated_as_by_kamailio_or_the_difference_is_listed() {
    let rig = Rig::new();
    let _daemon = rig.lab.start("native");
    rig.lab.filter.run(&["on"]);

    let all = expected();
    let files = fs::read_dir(corpus::folder()).unwrap().filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "sip"))
    });
    assert_eq!(all.len(), files.count(), "lines of expected.jsonl (left) and messages in the corpus (right)");
    let mut found = Vec::new();
    for expected in &all {
        let file = expected.file.as_str();
        let message = fs::read(corpus::folder().join(file)).unwrap_or_else(|error| panic!("read {file}: {error}"));
        let timeout = if expected.verdict == "silent" { SILENCE } else { TIMEOUT };
        let fate = rig.send(file, &message, timeout);
        found.extend(deviations(expected, &fate).into_iter().map(|deviation| (file, deviation)));
    }
    assert_eq!(rig.response(SILENCE), None, "a second response to a message, or a late one");
    let stats = rig.lab.filter.stats();
    let redirected = stats.verdict(Verdict::Redirected);
    assert_eq!(redirected, stats.handled(), "redirected (left) and accounted for by the responder (right): {stats:?}");

    let listed: Vec<_> = DEVIATIONS.iter().map(|(file, deviation, _)| (*file, *deviation)).collect();
    let unlisted: Vec<_> = found.iter().filter(|deviation| !listed.contains(deviation)).collect();
    assert!(unlisted.is_empty(), "deviations that are not listed: {unlisted:#?}");
    let outdated: Vec<_> = listed.iter().filter(|deviation| !found.contains(deviation)).collect();
    assert!(outdated.is_empty(), "listed deviations that no longer occur: {outdated:#?}");
}
