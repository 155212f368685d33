//! The corpus: where Kamailio 5.6 answers 503, so do we, with the same headers, to the same port.
//!
//! Where we do not, the table says why. A line of it that no longer holds is an error as well.

use std::collections::BTreeMap;
use std::path::Path;

use filter_reply::Unanswered;

use crate::response::Response;
use crate::wire::{Capture, Sender};
use crate::{answer_frame, template};

/// How an answer of ours may differ from Kamailio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deviation {
    /// We send no response.
    NoResponse(Unanswered),
    /// This header differs.
    Header(&'static str),
}

use Deviation::{Header, NoResponse};

/// The deviations, by file, with their reasons.
const DEVIATIONS: &[(&str, Deviation, &str)] = &[
    ("b23-empty-tag.sip", Header("to"), EMPTY_TAG),
    ("b44-trailing-space-empty-tag.sip", Header("to"), EMPTY_TAG),
    (
        "b41-two-tags-last-empty.sip",
        NoResponse(Unanswered::MalformedTo),
        "for Kamailio the last tag counts, for us any: this may be a call that is up, and the kernel passes it",
    ),
    ("c13-received-lie.sip", Header("via"), RECEIVED_LIE),
    ("c14-received-lie-rport.sip", Header("via"), RECEIVED_LIE),
    ("c19-spaces.sip", Header("via"), "Kamailio drops the white space before rport, we keep it"),
    ("c20-comma-list.sip", Header("via"), COMMA_LIST),
    ("c21-comma-list-host-differs.sip", Header("via"), COMMA_LIST),
    (
        "d01-lf-only.sip",
        Header("via"),
        "Kamailio ends the Via that it edits in CRLF, we as it came, as all that we repeat",
    ),
    (
        "d05-leading-spaces.sip",
        NoResponse(Unanswered::StartLine),
        "RFC 3261 section 7.5 has only CRLF before the start line; the kernel takes it for no INVITE and passes it",
    ),
    ("d20-lower-case-method.sip", NoResponse(Unanswered::Method), "methods are case-sensitive; the kernel passes it"),
    ("d26-space-at-line-end.sip", NoResponse(Unanswered::StartLine), VERSION),
    ("d29-version-20x.sip", NoResponse(Unanswered::StartLine), VERSION),
    (
        "e10-cseq-garbage.sip",
        NoResponse(Unanswered::MalformedCseq),
        "`abc def` is no CSeq: whoever sends it could not match the response to a transaction (RFC 3261 section 17.1.3)",
    ),
];

const EMPTY_TAG: &str =
    "Kamailio adds a second tag parameter after the empty one; we fill that in, so that there is one";
const RECEIVED_LIE: &str =
    "Kamailio adds a second received; we put ours in the place of the client's, so that there is one";
const COMMA_LIST: &str =
    "Kamailio puts received on the last Via of the line; it belongs to the first (RFC 3261 section 18.2.1)";
const VERSION: &str = "not the SIP/2.0 of RFC 3261 section 7.1; the kernel passes it";

/// What the test knows of Kamailio's answer to a message.
struct Expected {
    file: String,
    response: Vec<u8>,
    port: u16,
}

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus")
}

/// The messages that Kamailio answers, `source_port` being the sender's.
fn expected(source_port: u16) -> Vec<Expected> {
    let lines = std::fs::read_to_string(corpus().join("expected.jsonl")).expect("the corpus");
    let mut expected = vec![];
    for line in lines.lines() {
        let line: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).expect("an object");
        let text = |key: &str| line[key].as_str().expect("a string").replace("SRCPORT", &source_port.to_string());
        if line["verdict"] != "503" {
            continue;
        }
        // The file keeps octets as the characters of the same number.
        let response = text("response").chars().map(|octet| u8::try_from(octet).expect("an octet")).collect();
        let reply_to = text("reply_to");
        let reply_to = reply_to.split(' ').next().expect("an address");
        let port = reply_to.strip_prefix("198.18.0.1:").and_then(|port| port.parse().ok()).expect(reply_to);
        expected.push(Expected { file: text("file"), response, port });
    }
    expected
}

/// The headers of ours that differ from Kamailio's, or why there is no answer.
fn deviations(expected: &Expected, sender: &Sender) -> Vec<Deviation> {
    let message = std::fs::read(corpus().join(&expected.file)).expect("a message");
    let reply = match answer_frame(&sender.frame(&message), &template()) {
        Ok(frame) => Capture::read(&frame),
        Err(refused) => return vec![NoResponse(refused)],
    };
    assert_eq!(reply.destination.to_string(), format!("198.18.0.1:{}", expected.port), "{}", expected.file);
    let (ours, kamailios) = (Response::read(&reply.message), Response::read(&expected.response));
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
    // Kamailio's tag is `;tag=`, an MD5 sum and a CRC: it begins with what is the same in all of them.
    let to = kamailios.line("to");
    let without_tag = to.split(";tag=c76dc810db5fe7d4da04ee295171b524.").next().expect("a part");
    if ours.to() != format!("{without_tag};tag=TAG") {
        deviations.push(Header("to"));
    }
    deviations
}

#[test]
fn where_kamailio_answers_we_do_and_alike() {
    let sender = Sender::default();
    let mut found = vec![];
    let all = expected(sender.source.port());
    assert!(all.len() > 80, "{} messages that Kamailio answers", all.len());
    for expected in &all {
        found.extend(deviations(expected, &sender).into_iter().map(|deviation| (expected.file.clone(), deviation)));
    }
    let listed: Vec<(String, Deviation)> =
        DEVIATIONS.iter().map(|(file, deviation, _)| ((*file).to_owned(), *deviation)).collect();
    for deviation in &found {
        assert!(listed.contains(deviation), "not listed: {deviation:?}\nof {found:#?}");
    }
    for deviation in &listed {
        assert!(found.contains(deviation), "listed, but it does not happen: {deviation:?}");
    }
}
