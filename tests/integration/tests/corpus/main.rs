//! The corpus over the wire: sip-filter refuses the messages that Kamailio refuses, with the same headers, and the
//! messages that Kamailio passes reach the server's socket.
//!
//! The differences are listed in `deviations`, with their reasons. A difference that is not listed fails the test, and
//! so does a listed one that no longer occurs.
#![cfg(test)]

mod deviations;

use std::fs;
use std::net::SocketAddr;

use filter_common::verdict::Verdict;
use filter_integration::raw::{CALLER_PORT, Fate, Rig, SILENCE, TIMEOUT, header_lines};
use filter_lab::corpus;
use filter_lab::packet::Packet;
use filter_lab::wire::{End, Family};
use serde_json::Value;

use deviations::{DEVIATIONS, Deviation};

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
