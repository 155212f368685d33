//! The corpus of messages with what Kamailio does with each (`tests/corpus`): the kernel's decision beside it.

use filter_common::sip::classify;
use filter_common::verdict::Verdict;

use crate::rig::{Rig, ipv4, ipv6, octets};

/// What Kamailio did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
enum Kamailio {
    #[serde(rename = "503")]
    Refused,
    #[serde(rename = "pass")]
    Passed,
    #[serde(rename = "silent")]
    Silent,
}

#[derive(serde::Deserialize)]
struct Expected {
    file: String,
    verdict: Kamailio,
}

/// The messages by their file names.
pub fn messages() -> Vec<(String, Vec<u8>)> {
    expected()
        .into_iter()
        .map(|(file, _)| {
            let octets = message(&file);
            (file, octets)
        })
        .collect()
}

fn message(file: &str) -> Vec<u8> {
    std::fs::read(filter_lab::corpus::folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn expected() -> Vec<(String, Kamailio)> {
    let lines = std::fs::read_to_string(filter_lab::corpus::folder().join("expected.jsonl")).expect("expected.jsonl");
    let parse = |line| serde_json::from_str::<Expected>(line).expect("a line of expected.jsonl");
    lines.lines().map(parse).map(|expected| (expected.file, expected.verdict)).collect()
}

/// Messages that Kamailio refuses and we pass, each with the reason. Passing costs nothing but the proxy's work.
const WE_PASS: &[(&str, &str)] = &[
    ("a09-urn-sos.sip", "an emergency call"),
    ("a11-replaces.sip", "takes the place of a call that is up"),
    ("a14-to-after-8k.sip", "comes in fragments, which pass"),
    ("a16-fragmented-2k.sip", "comes in fragments, which pass"),
    ("a19-near-64k.sip", "comes in fragments, which pass"),
    ("a20-100-headers.sip", "comes in fragments, which pass"),
    ("b41-two-tags-last-empty.sip", "`;tag=2;tag=`: for Kamailio the last tag counts, for us any that is not empty"),
    ("d05-leading-spaces.sip", "spaces before the method: only CR and LF are skipped (RFC 3261 section 7.5)"),
    ("d20-lower-case-method.sip", "`invite`: methods are case-sensitive (RFC 3261 section 7.1)"),
    ("d26-space-at-line-end.sip", "a space after the version: not a Request-Line (RFC 3261 section 7.1)"),
    ("d29-version-20x.sip", "SIP/2.0x is not a version that we know"),
    ("r4475-longreq.sip", "comes in fragments, which pass"),
];

/// Messages that Kamailio drops as unreadable and that we hand to the responder: answering them would harm nobody.
const WE_REDIRECT: &[(&str, &str)] = &[
    ("a24-max-forwards-twice.sip", "Max-Forwards is not looked at"),
    ("c17-empty-branch.sip", "the responder looks at the Via"),
    ("c32-empty-via.sip", "the responder looks at the Via"),
    ("c33-garbage-via.sip", "the responder looks at the Via"),
    ("c35-bad-second-via.sip", "only the first Via is looked at"),
    ("c36-received-no-value.sip", "the responder looks at the Via"),
    ("d10-cl-negative.sip", "over UDP the datagram ends the body, Content-Length is not looked at"),
    ("d12-cl-empty.sip", "over UDP the datagram ends the body, Content-Length is not looked at"),
    ("d13-cl-huge.sip", "over UDP the datagram ends the body, Content-Length is not looked at"),
    ("d38-header-no-colon-late.sip", "a line that no reply needs"),
    ("d40-empty-header-name.sip", "a line that no reply needs"),
    ("d42-header-space-in-name.sip", "a line that no reply needs"),
    ("d43-bad-second-cseq.sip", "the responder looks at the CSeq"),
    ("e02-no-from.sip", "the responder finds that there is no From"),
    ("e04-no-via.sip", "the responder finds that there is no Via"),
    ("e05-no-cseq.sip", "the responder finds that there is no CSeq"),
    ("e07-cseq-no-method.sip", "the responder looks at the CSeq"),
    ("e08-cseq-no-number.sip", "the responder looks at the CSeq"),
    ("e12-callid-twice.sip", "the responder finds two Call-IDs"),
    ("e19-from-twice.sip", "the responder finds two From headers"),
];

/// The verdict that a message must get: `None` if it does not fit into one packet.
fn verdict(rig: &mut Rig, message: &[u8]) -> Option<Verdict> {
    // Longer ones come in fragments, which pass; how these are told is in packets.rs.
    if message.len() > 1472 {
        return None;
    }
    let over_ipv4 = rig.verdict(&octets(&ipv4(message)));
    assert_eq!(rig.verdict(&octets(&ipv6(message))), over_ipv4, "the verdict depends on the IP version");
    Some(over_ipv4)
}

#[test]
fn no_call_that_kamailio_passes_is_refused() {
    let mut rig = Rig::on();
    for (file, kamailio) in expected() {
        if kamailio == Kamailio::Passed {
            let verdict = verdict(&mut rig, &message(&file));
            assert_ne!(verdict, Some(Verdict::Redirected), "{file}: Kamailio passes it");
        }
    }
}

#[test]
fn every_deviation_from_kamailio_is_a_known_one() {
    let mut rig = Rig::on();
    let (mut we_pass, mut we_redirect) = (Vec::new(), Vec::new());
    for (file, kamailio) in expected() {
        let redirected = match verdict(&mut rig, &message(&file)) {
            Some(verdict) => verdict == Verdict::Redirected,
            None => false,
        };
        match (kamailio, redirected) {
            (Kamailio::Refused, false) => we_pass.push(file),
            (Kamailio::Silent, true) => we_redirect.push(file),
            _ => {}
        }
    }
    let names = |list: &[(&str, &str)]| list.iter().map(|(file, _)| (*file).to_owned()).collect::<Vec<_>>();
    assert_eq!(we_pass, names(WE_PASS), "refused by Kamailio and passed by us");
    assert_eq!(we_redirect, names(WE_REDIRECT), "dropped by Kamailio and redirected by us");
}

#[test]
fn the_kernel_decides_as_the_host_grammar_does() {
    let mut rig = Rig::on();
    for (file, message) in messages() {
        let expected = crate::rig::expected(classify(&message));
        if let Some(verdict) = verdict(&mut rig, &message) {
            assert_eq!(verdict, expected, "{file}");
        }
    }
}
