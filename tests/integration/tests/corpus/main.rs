//! The corpus over the wire: where Kamailio refuses we do, in the same words; what it passes reaches the server's socket.
//!
//! Where we differ, the table says why. A line of it that no longer holds is an error as well.

mod deviations;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use filter_common::verdict::Verdict;
use filter_lab::corpus;
use filter_lab::lab::Lab;
use filter_lab::packet::Packet;
use filter_lab::packet_socket::PacketSocket;
use filter_lab::sip_server::PORT;
use filter_lab::wire::{End, Family};

use deviations::{DEVIATIONS, Deviation};

/// The port from which Kamailio got the messages, as their Via says.
const CALLER_PORT: u16 = 5062;

/// Long enough for what must come.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long nothing has to happen until nothing will: what is neither answered nor passed.
const SILENCE: Duration = Duration::from_millis(250);

/// What Kamailio did with a message of the corpus.
struct Expected {
    file: String,
    verdict: String,
    response: Vec<u8>,
    /// The port to which it sent the response.
    port: Option<u16>,
}

/// What became of a message of ours.
enum Fate {
    /// We answered it.
    Answered(Packet),
    /// It came out of the server's socket as it was.
    Reached,
    /// Neither.
    Lost,
}

/// A host that sends the corpus, and the proxy's socket, that only listens: each answer is the filter's.
struct Rig {
    lab: Lab,
    caller: UdpSocket,
    wire: PacketSocket,
    server: UdpSocket,
}

impl Rig {
    fn new() -> Result<Self> {
        let lab = Lab::without_server();
        let caller = lab.outside.bind_udp(SocketAddr::new(End::Caller.address(Family::V4), CALLER_PORT));
        let server = lab.inside.bind_udp(lab.proxy(Family::V4));
        server.set_nonblocking(true).context("make the server's socket non-blocking")?;
        let wire = lab.packet_socket();
        Ok(Self { lab, caller, wire, server })
    }

    /// Sends a message, in fragments if it is too long for one packet, and sees what becomes of it.
    fn send(&self, message: &[u8], patience: Duration) -> Result<Fate> {
        self.caller.send_to(message, self.lab.proxy(Family::V4)).context("send")?;
        let deadline = Instant::now() + patience;
        let mut buffer = vec![0; 65536];
        while Instant::now() < deadline {
            if let Ok(length) = self.server.recv(&mut buffer) {
                ensure!(buffer[..length] == *message, "the server got another message");
                return Ok(Fate::Reached);
            }
            let answer = self.wire.receive_packet(Duration::from_millis(5), |packet| packet.source.port() == PORT);
            if let Some(answer) = answer {
                return Ok(Fate::Answered(answer));
            }
        }
        Ok(Fate::Lost)
    }
}

/// What Kamailio does with each message.
fn expected() -> Result<Vec<Expected>> {
    let lines = fs::read_to_string(corpus::folder().join("expected.jsonl")).context("expected.jsonl")?;
    let parse = |line: &str| -> Result<Expected> {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let text = |key: &str| line[key].as_str().unwrap_or_default().replace("SRCPORT", &CALLER_PORT.to_string());
        // The file keeps octets as the characters of the same number.
        let octets = text("response").chars().map(|octet| u8::try_from(octet).context("an octet")).collect();
        let response: Result<Vec<u8>> = octets;
        let reply_to = text("reply_to");
        let port = reply_to.split(' ').next().and_then(|address| address.strip_prefix("198.18.0.1:"));
        let port = port.map(str::parse).transpose().with_context(|| format!("reply_to {reply_to:?}"))?;
        Ok(Expected { file: text("file"), verdict: text("verdict"), response: response?, port })
    };
    lines.lines().map(parse).collect()
}

/// The lines of all headers with this name, folded ones whole, without their last line end.
fn header_lines(message: &[u8], full: &str, compact: &str) -> Vec<Vec<u8>> {
    let mut headers: Vec<Vec<u8>> = Vec::new();
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        match headers.last_mut() {
            Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => last.extend(line),
            _ if line.trim_ascii().is_empty() => break,
            _ => headers.push(line.to_vec()),
        }
    }
    headers.retain(|line| {
        let name = line.split(|octet| *octet == b':').next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(full.as_bytes()) || name.eq_ignore_ascii_case(compact.as_bytes())
    });
    headers.iter().map(|line| line.trim_ascii_end().to_vec()).collect()
}

/// How our answer differs from Kamailio's.
fn differences(expected: &Expected, answer: &Packet) -> Result<Vec<Deviation>> {
    let (ours, theirs) = (&answer.payload, &expected.response);
    ensure!(ours.starts_with(b"SIP/2.0 503 "), "{}", ours.escape_ascii());
    let destination = SocketAddr::new(End::Caller.address(Family::V4), expected.port.context("reply_to")?);
    let mut differences = Vec::new();
    if answer.destination != destination {
        differences.push(Deviation::Destination);
    }
    for (name, full, compact) in [
        (Deviation::Via, "Via", "v"),
        (Deviation::From, "From", "f"),
        (Deviation::CallId, "Call-ID", "i"),
        (Deviation::CSeq, "CSeq", ""),
    ] {
        if header_lines(ours, full, compact) != header_lines(theirs, full, compact) {
            differences.push(name);
        }
    }
    Ok(differences)
}

/// How what became of a message differs from what Kamailio does with it; an error if that may never be.
fn deviations(expected: &Expected, fate: &Fate) -> Result<Vec<Deviation>> {
    Ok(match (expected.verdict.as_str(), fate) {
        ("503", Fate::Answered(answer)) => differences(expected, answer)?,
        ("503", Fate::Reached) => vec![Deviation::Passed],
        ("503", Fate::Lost) => vec![Deviation::Unanswered],
        ("pass" | "silent", Fate::Reached) => vec![],
        // Kamailio would not have answered either, and the sender tries again.
        ("silent", Fate::Lost) => vec![Deviation::NeitherNor],
        ("silent", Fate::Answered(_)) => vec![Deviation::Answered],
        ("pass", Fate::Answered(answer)) => {
            anyhow::bail!("answered a message that Kamailio passes:\n{}", answer.payload.escape_ascii())
        }
        ("pass", Fate::Lost) => anyhow::bail!("a message that Kamailio passes never reached the server"),
        (verdict, _) => anyhow::bail!("verdict {verdict:?}"),
    })
}

#[test]
fn the_whole_corpus_meets_the_same_fate_as_at_kamailio() -> Result<()> {
    let rig = Rig::new()?;
    let _daemon = rig.lab.start("native");
    rig.lab.filter.run(&["on"]);

    let all = expected()?;
    let files = fs::read_dir(corpus::folder())?.filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "sip"))
    });
    assert_eq!(all.len(), files.count(), "messages in the corpus, and what Kamailio does with them");
    let mut found = Vec::new();
    for expected in &all {
        let message = fs::read(corpus::folder().join(&expected.file)).with_context(|| expected.file.clone())?;
        let patience = if expected.verdict == "silent" { SILENCE } else { PATIENCE };
        let fate = rig.send(&message, patience).with_context(|| expected.file.clone())?;
        let deviations = deviations(expected, &fate).with_context(|| expected.file.clone())?;
        found.extend(deviations.into_iter().map(|deviation| (expected.file.as_str(), deviation)));
    }
    let late = rig.wire.receive_packet(SILENCE, |packet| packet.source.port() == PORT);
    assert_eq!(late, None, "a second answer, or a late one");
    let stats = rig.lab.filter.stats();
    assert_eq!(stats.verdict(Verdict::Redirected), stats.handled(), "taken, and accounted for: {stats:?}");

    let listed: Vec<_> = DEVIATIONS.iter().map(|(file, deviation, _)| (*file, *deviation)).collect();
    let unlisted: Vec<_> = found.iter().filter(|deviation| !listed.contains(deviation)).collect();
    assert!(unlisted.is_empty(), "not listed: {unlisted:#?}");
    let gone: Vec<_> = listed.iter().filter(|deviation| !found.contains(deviation)).collect();
    assert!(gone.is_empty(), "listed, but they do not happen: {gone:#?}");
    Ok(())
}
