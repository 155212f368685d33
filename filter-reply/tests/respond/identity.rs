//! The To tag: the same for a retransmission in any spelling, and a different one for every transaction.

use std::collections::HashSet;

use filter_reply::{Refusal, ResponseTemplate};

use crate::response::Response;
use crate::wire::{Capture, Sender};
use crate::{PREFIX, invite, respond, respond_to_frame, secret, template};

fn request(via: &str, from: &str, call_id: &str, cseq: &str) -> Vec<u8> {
    invite(&format!("{via}\r\n{from}\r\nTo: <sip:b@b>\r\n{call_id}\r\n{cseq}"))
}

const VIA: &str = "Via: SIP/2.0/UDP h;branch=z9hG4bKx";
const FROM: &str = "From: <sip:a@a>;tag=f";
const CALL_ID: &str = "Call-ID: c@a";
const CSEQ: &str = "CSeq: 1 INVITE";

#[test]
fn retransmission_gets_the_same_bytes() {
    for sender in [Sender::default(), Sender::ipv6()] {
        let frame = sender.frame(&request(VIA, FROM, CALL_ID, CSEQ));
        assert_eq!(respond_to_frame(&frame, &template()), respond_to_frame(&frame, &template()));
    }
}

#[test]
fn to_tag_does_not_depend_on_the_spelling_of_the_headers() {
    let tag = respond(&request(VIA, FROM, CALL_ID, CSEQ)).tag();
    for (via, from, call_id, cseq) in [
        ("v: SIP/2.0/UDP h ; BRANCH = z9hG4bKx", FROM, CALL_ID, CSEQ),
        ("Via: SIP/2.0/UDP h:5060;rport;branch=z9hG4bKx, SIP/2.0/UDP i", FROM, CALL_ID, CSEQ),
        (VIA, "f: \"A;tag=1\" <sip:a@a;tag=2>;x\r\n ; Tag = f ", CALL_ID, CSEQ),
        (VIA, FROM, "i :\t c@a ", CSEQ),
        (VIA, FROM, CALL_ID, "cseq:\r\n 0001\t INVITE "),
    ] {
        assert_eq!(respond(&request(via, from, call_id, cseq)).tag(), tag, "{via} {from} {call_id} {cseq}");
    }
}

#[test]
fn each_transaction_has_its_own_to_tag() {
    let mut tags = HashSet::new();
    let messages = [
        request(VIA, FROM, CALL_ID, CSEQ),
        request("Via: SIP/2.0/UDP h;branch=z9hG4bKy", FROM, CALL_ID, CSEQ),
        request(VIA, "From: <sip:a@a>;tag=F", CALL_ID, CSEQ),
        request(VIA, "From: <sip:a@a>", CALL_ID, CSEQ),
        request(VIA, "From: <sip:b@a>", CALL_ID, CSEQ),
        request(VIA, FROM, "Call-ID: c@", CSEQ),
        request(VIA, FROM, CALL_ID, "CSeq: 2 INVITE"),
        request(VIA, FROM, CALL_ID, "CSeq: 10 INVITE"),
        request(VIA, FROM, CALL_ID, "CSeq: 0 INVITE"),
        // Bytes that move from one part to its neighbour.
        request("Via: SIP/2.0/UDP h;branch=z9hG4bKxc", FROM, "Call-ID: @a", CSEQ),
        request(VIA, "From: <sip:a@a>;tag=", "Call-ID: c@af", CSEQ),
        request(VIA, "From: <sip:a@a>;tag=1", CALL_ID, CSEQ),
        request(VIA, "From: <sip:a@a>;tag=", CALL_ID, "CSeq: 11 INVITE"),
        // Branches of RFC 2543 need not be unique, so the whole Via counts.
        request("Via: SIP/2.0/UDP h", FROM, CALL_ID, CSEQ),
        request("Via: SIP/2.0/UDP i", FROM, CALL_ID, CSEQ),
        request("Via: SIP/2.0/UDP h;branch=1", FROM, CALL_ID, CSEQ),
        request("Via: SIP/2.0/UDP i;branch=1", FROM, CALL_ID, CSEQ),
        request("Via: SIP/2.0/UDP h;branch=z9hG4bK", FROM, CALL_ID, CSEQ),
        request("Via: SIP/2.0/UDP i;branch=z9hG4bK", FROM, CALL_ID, CSEQ),
    ];
    for message in &messages {
        let tag = respond(message).tag();
        assert!(tag.starts_with(PREFIX));
        assert!(tags.insert(tag), "{}", message.escape_ascii());
    }
}

#[test]
fn to_tag_depends_on_the_key() {
    let frame = Sender::default().frame(&request(VIA, FROM, CALL_ID, CSEQ));
    let tag = |key: [u8; 16]| {
        let template = ResponseTemplate::new(&Refusal::default(), &secret(key));
        Response::parse(&Capture::parse(&respond_to_frame(&frame, &template).unwrap()).message).tag()
    };
    assert_ne!(tag([1; 16]), tag([2; 16]));
    assert_eq!(tag([1; 16]), tag([1; 16]));
}
