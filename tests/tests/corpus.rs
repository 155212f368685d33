//! Messages of the corpus, end to end: the refusal carries the same headers, byte for byte, as Kamailio's.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use filter_tests::caller::{Caller, PATIENCE};
use filter_tests::lab::Lab;
use filter_tests::message::Message;
use filter_tests::wire::{End, Family};

/// The port from which Kamailio got the messages, as their Via says.
const CALLER_PORT: u16 = 5062;

/// Plain, without a body, compact, long, quoted, folded, 8-bit, with several Via.
const FILES: &[&str] = &[
    "a01-plain.sip",
    "a02-no-body.sip",
    "a04-compact.sip",
    "a06-rich.sip",
    "b03-quoted-name-with-tag.sip",
    "b04-tag-in-uri.sip",
    "b06-spaces-before-colon.sip",
    "b54-utf8-name.sip",
    "c02-rport.sip",
    "c07-host-differs-rport.sip",
    "c22-two-vias.sip",
];

/// Kamailio's response to a corpus message.
fn kamailios(corpus: &str, file: &str) -> Result<Message> {
    for line in corpus.lines() {
        let entry: serde_json::Value = serde_json::from_str(line)?;
        if entry["file"] == file {
            let response = entry["response"].as_str().context("response")?;
            return Message::parse(response.replace("SRCPORT", &CALLER_PORT.to_string()).as_bytes());
        }
    }
    anyhow::bail!("{file} is not in expected.jsonl")
}

/// The parameters of a Via value: their order does not matter (RFC 3261 20.42).
fn parameters(via: &str) -> Vec<&str> {
    let mut parameters: Vec<_> = via.split(';').collect();
    parameters.sort_unstable();
    parameters
}

#[test]
fn the_refusal_has_the_same_headers_as_kamailios() -> Result<()> {
    let corpus = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"));
    let expected = fs::read_to_string(corpus.join("expected.jsonl"))?;
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    let local = SocketAddr::new(End::Caller.address(Family::V4), CALLER_PORT);
    let caller = Caller::new(&lab.outside, local, lab.proxy(Family::V4))?;

    for file in FILES {
        let kamailio = kamailios(&expected, file)?;
        caller.send(&fs::read(corpus.join(file))?)?;
        let ours = caller.receive(PATIENCE)?.with_context(|| format!("no answer to {file}"))?;
        assert_eq!(ours.status(), Some(503), "{file}\n{ours}");
        for name in ["From", "Call-ID", "CSeq"] {
            let all = |message: &Message| message.all(name).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(all(&ours), all(&kamailio), "{name} of {file}");
        }
        let (vias, theirs): (Vec<_>, Vec<_>) = (ours.all("Via").collect(), kamailio.all("Via").collect());
        assert_eq!(parameters(vias[0]), parameters(theirs[0]), "topmost Via of {file}");
        assert_eq!(vias[1..], theirs[1..], "other Via of {file}");
    }
    Ok(())
}
