//! The corpus: a message that Kamailio 5.6 answers with 503 gets the same headers from us, at the same port.
//!
//! A table lists the deviations with their reasons. A listed deviation that does not occur fails the test too.

use std::collections::BTreeMap;
use std::path::Path;

use filter_reply::Unanswered;

use crate::response::Response;
use crate::wire::{Capture, Sender};
use crate::{respond_to_frame, template};

/// A difference between our response and Kamailio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deviation {
    /// We send no response, for this reason.
    NoResponse(Unanswered),
    /// A header differs.
    Header(&'static str),
}

use Deviation::{Header, NoResponse};

/// Deviations with their reasons, by file.
const DEVIATIONS: &[(&str, Deviation, &str)] = &[
    ("b23-empty-tag.sip", Header("to"), EMPTY_TAG),
    ("b44-trailing-space-empty-tag.sip", Header("to"), EMPTY_TAG),
    (
        "b41-two-tags-last-empty.sip",
        NoResponse(Unanswered::InDialog),
        "for Kamailio the last tag counts, for us any: this may be an established call, and the XDP program passes it",
    ),
    ("c13-received-lie.sip", Header("via"), RECEIVED_LIE),
    ("c14-received-lie-rport.sip", Header("via"), RECEIVED_LIE),
    ("c19-spaces.sip", Header("via"), "Kamailio removes the white space before rport, we keep it"),
    ("c20-comma-list.sip", Header("via"), COMMA_LIST),
    ("c21-comma-list-host-differs.sip", Header("via"), COMMA_LIST),
    (
        "d01-lf-only.sip",
        Header("via"),
        "Kamailio ends the Via that it edits in CRLF, we end each repeated line as it came",
    ),
    (
        "d05-leading-spaces.sip",
        NoResponse(Unanswered::StartLine),
        "RFC 3261 section 7.5 allows only CRLF before the start line; the XDP program passes it",
    ),
    (
        "d20-lower-case-method.sip",
        NoResponse(Unanswered::Method),
        "methods are case-sensitive; the XDP program passes it",
    ),
    ("d26-space-at-line-end.sip", NoResponse(Unanswered::StartLine), VERSION),
    ("d29-version-20x.sip", NoResponse(Unanswered::StartLine), VERSION),
];

const EMPTY_TAG: &str = "Kamailio adds a second tag parameter after the empty one; we fill the empty one in";
const RECEIVED_LIE: &str = "Kamailio adds a second received parameter; we overwrite the client's";
const COMMA_LIST: &str =
    "Kamailio puts received on the last Via of the line; it belongs to the first (RFC 3261 section 18.2.1)";
const VERSION: &str = "not the SIP/2.0 of RFC 3261 section 7.1; the XDP program passes it";

/// Kamailio's response to a message of the corpus.
struct Expected {
    file: String,
    response: Vec<u8>,
    port: u16,
}

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus")
}

/// Returns Kamailio's responses to a sender with this source port.
fn expected(source_port: u16) -> Vec<Expected> {
    let lines = std::fs::read_to_string(corpus().join("expected.jsonl")).unwrap();
    let mut expected = vec![];
    for line in lines.lines() {
        let line: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap().replace("SRCPORT", &source_port.to_string());
        if line["verdict"] != "503" {
            continue;
        }
        // The file holds each byte as the character of the same number.
        let response = text("response").chars().map(|byte| u8::try_from(byte).unwrap()).collect();
        let reply_to = text("reply_to");
        let reply_to = reply_to.split(' ').next().unwrap();
        let port = reply_to.strip_prefix("198.18.0.1:").and_then(|port| port.parse().ok()).expect(reply_to);
        expected.push(Expected { file: text("file"), response, port });
    }
    expected
}

/// Returns the deviations of our response to a message.
fn deviations(expected: &Expected, sender: &Sender) -> Vec<Deviation> {
    let message = std::fs::read(corpus().join(&expected.file)).unwrap();
    let reply = match respond_to_frame(&sender.frame(&message), &template()) {
        Ok(frame) => Capture::parse(&frame),
        Err(reason) => return vec![NoResponse(reason)],
    };
    assert_eq!(reply.destination.to_string(), format!("198.18.0.1:{}", expected.port), "{}", expected.file);
    let (ours, kamailios) = (Response::parse(&reply.message), Response::parse(&expected.response));
    let order = |response: &Response| -> Vec<String> {
        let names = ["via", "from", "to", "call-id", "cseq"];
        response
            .headers
            .iter()
            .map(|header| header.name.clone())
            .filter(|name| names.contains(&name.as_str()))
            .collect()
    };
    assert_eq!(order(&ours), order(&kamailios), "{}: the order of the headers", expected.file);
    let mut deviations = vec![];
    for name in ["via", "from", "call-id", "cseq"] {
        if ours.lines(name) != kamailios.lines(name) {
            deviations.push(Header(name));
        }
    }
    // Kamailio's tag is an MD5 sum, which is the same in all tags, and a CRC.
    let to = kamailios.line("to");
    let without_tag = to.split(";tag=c76dc810db5fe7d4da04ee295171b524.").next().unwrap();
    if ours.to() != format!("{without_tag};tag=TAG") {
        deviations.push(Header("to"));
    }
    deviations
}

#[test]
fn corpus_messages_that_kamailio_answers_get_the_same_response_from_us() {
    let sender = Sender::default();
    let mut found = vec![];
    let all = expected(sender.source.port());
    assert!(all.len() > 80, "Kamailio answers only {} messages", all.len());
    for expected in &all {
        found.extend(deviations(expected, &sender).into_iter().map(|deviation| (expected.file.clone(), deviation)));
    }
    let listed: Vec<(String, Deviation)> =
        DEVIATIONS.iter().map(|(file, deviation, _)| ((*file).to_owned(), *deviation)).collect();
    for deviation in &found {
        assert!(listed.contains(deviation), "deviation that is not in the table: {deviation:?}\nof {found:#?}");
    }
    for deviation in &listed {
        assert!(found.contains(deviation), "deviation of the table that does not occur: {deviation:?}");
    }
}
