//! The corpus of messages (`tests/corpus`): the kernel's decision compared with Kamailio's and with the host grammar's.

use std::fs;

use filter_common::sip::classify;
use filter_common::verdict::Verdict;
use filter_lab::corpus;

use crate::rig::{Rig, expected_verdict, ipv4, ipv6};

/// Longest message that fits into one packet on a wire with an MTU of 1500.
const MAX_UNFRAGMENTED: usize = 1472;

/// Kamailio's treatment of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
enum Kamailio {
    #[serde(rename = "503")]
    Refused,
    #[serde(rename = "pass")]
    Passed,
    /// Dropped as unreadable.
    #[serde(rename = "silent")]
    Silent,
}

/// A line of `expected.jsonl`.
#[derive(serde::Deserialize)]
struct Expected {
    file: String,
    verdict: Kamailio,
}

/// Returns the messages with their file names.
#[track_caller]
pub(crate) fn messages() -> Vec<(String, Vec<u8>)> {
    expected()
        .into_iter()
        .map(|Expected { file, .. }| {
            let message = message(&file);
            (file, message)
        })
        .collect()
}

#[track_caller]
fn message(file: &str) -> Vec<u8> {
    fs::read(corpus::folder().join(file)).unwrap_or_else(|error| panic!("read {file} of the corpus: {error}"))
}

/// Returns Kamailio's treatment of each message.
#[track_caller]
fn expected() -> Vec<Expected> {
    let path = corpus::folder().join("expected.jsonl");
    let lines = fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()));
    lines.lines().map(parse).collect()
}

/// Messages that Kamailio refuses and the XDP program passes, each with the reason. Passing costs nothing but the
/// proxy's work.
const ONLY_WE_PASS: &[(&str, &str)] = &[
    ("a09-urn-sos.sip", "an emergency call"),
    ("a11-replaces.sip", "replaces an established call"),
    ("a14-to-after-8k.sip", "arrives in fragments, which pass"),
    ("a16-fragmented-2k.sip", "arrives in fragments, which pass"),
    ("a19-near-64k.sip", "arrives in fragments, which pass"),
    ("a20-100-headers.sip", "arrives in fragments, which pass"),
    ("b41-two-tags-last-empty.sip", "`;tag=2;tag=`: the last tag counts for Kamailio, any tag with a value for us"),
    ("d05-leading-spaces.sip", "spaces before the method: only CR and LF are skipped (RFC 3261 section 7.5)"),
    ("d20-lower-case-method.sip", "`invite`: methods are case-sensitive (RFC 3261 section 7.1)"),
    ("d26-space-at-line-end.sip", "a space after the version: not a Request-Line (RFC 3261 section 7.1)"),
    ("d29-version-20x.sip", "SIP/2.0x is an unknown version"),
    ("r4475-longreq.sip", "arrives in fragments, which pass"),
];

/// Messages that Kamailio drops as unreadable and the XDP program redirects, each with the reason. A response to one of
/// them would harm nobody.
const ONLY_WE_REDIRECT: &[(&str, &str)] = &[
    ("a24-max-forwards-twice.sip", "Max-Forwards is not parsed"),
    ("c17-empty-branch.sip", "the responder checks the Via"),
    ("c32-empty-via.sip", "the responder checks the Via"),
    ("c33-garbage-via.sip", "the responder checks the Via"),
    ("c35-bad-second-via.sip", "only the first Via is parsed"),
    ("c36-received-no-value.sip", "the responder checks the Via"),
    ("d10-cl-negative.sip", "over UDP the datagram delimits the body, and Content-Length is not parsed"),
    ("d12-cl-empty.sip", "over UDP the datagram delimits the body, and Content-Length is not parsed"),
    ("d13-cl-huge.sip", "over UDP the datagram delimits the body, and Content-Length is not parsed"),
    ("d38-header-no-colon-late.sip", "a line that no response needs"),
    ("d40-empty-header-name.sip", "a line that no response needs"),
    ("d42-header-space-in-name.sip", "a line that no response needs"),
    ("d43-bad-second-cseq.sip", "the responder checks the CSeq"),
    ("e02-no-from.sip", "the responder detects the missing From"),
    ("e04-no-via.sip", "the responder detects the missing Via"),
    ("e05-no-cseq.sip", "the responder detects the missing CSeq"),
    ("e07-cseq-no-method.sip", "the responder checks the CSeq"),
    ("e08-cseq-no-number.sip", "the responder checks the CSeq"),
    ("e12-callid-twice.sip", "the responder detects the second Call-ID"),
    ("e19-from-twice.sip", "the responder detects the second From"),
];

/// Returns the verdict on a message, or `None` if it does not fit into one packet.
///
/// Fragments, in which longer messages arrive, pass: `packets` tests that.
#[track_caller]
fn verdict(rig: &mut Rig, file: &str, message: &[u8]) -> Option<Verdict> {
    if message.len() > MAX_UNFRAGMENTED {
        return None;
    }
    let over_ipv4 = rig.verdict(&ipv4(message));
    let over_ipv6 = rig.verdict(&ipv6(message));
    assert_eq!(over_ipv6, over_ipv4, "{file}: verdicts over IPv6 and IPv4");
    Some(over_ipv4)
}

#[test]
fn no_call_of_the_corpus_that_kamailio_passes_is_redirected() {
    let mut rig = Rig::in_maintenance();
    for Expected { file, .. } in expected().iter().filter(|expected| expected.verdict == Kamailio::Passed) {
        let verdict = verdict(&mut rig, file, &message(file));
        assert_ne!(verdict, Some(Verdict::Redirected), "{file}: Kamailio passes it");
    }
}

#[test]
fn every_difference_from_kamailio_in_the_corpus_is_listed() {
    let mut rig = Rig::in_maintenance();
    let (mut only_we_pass, mut only_we_redirect) = (Vec::new(), Vec::new());
    for Expected { file, verdict: kamailio } in expected() {
        let redirected = verdict(&mut rig, &file, &message(&file)) == Some(Verdict::Redirected);
        match (kamailio, redirected) {
            (Kamailio::Refused, false) => only_we_pass.push(file),
            (Kamailio::Silent, true) => only_we_redirect.push(file),
            _ => {}
        }
    }
    let files = |list: &[(&str, &str)]| list.iter().map(|(file, _)| (*file).to_owned()).collect::<Vec<_>>();
    assert_eq!(only_we_pass, files(ONLY_WE_PASS), "refused by Kamailio and passed by the XDP program");
    assert_eq!(only_we_redirect, files(ONLY_WE_REDIRECT), "dropped by Kamailio and redirected by the XDP program");
}

#[test]
fn kernel_and_host_grammar_agree_on_the_corpus() {
    let mut rig = Rig::in_maintenance();
    for (file, message) in messages() {
        if let Some(verdict) = verdict(&mut rig, &file, &message) {
            assert_eq!(verdict, expected_verdict(classify(&message)), "{file}");
        }
    }
}
