//! The To tag: the same for a retransmission however it is spelled, another for another transaction.

use std::collections::HashSet;

use filter_reply::{Refusal, ReplyTemplate, TagSecret};

use crate::response::Response;
use crate::wire::{Capture, Sender};
use crate::{PREFIX, answer_frame, invite, respond, template};

fn request(via: &str, from: &str, call_id: &str, cseq: &str) -> Vec<u8> {
    invite(&format!("{via}\r\n{from}\r\nTo: <sip:b@b>\r\n{call_id}\r\n{cseq}"))
}

const VIA: &str = "Via: SIP/2.0/UDP h;branch=z9hG4bKx";
const FROM: &str = "From: <sip:a@a>;tag=f";
const CALL_ID: &str = "Call-ID: c@a";
const CSEQ: &str = "CSeq: 1 INVITE";

#[test]
fn a_retransmission_gets_the_same_octets() {
    for sender in [Sender::default(), Sender::ipv6()] {
        let frame = sender.frame(&request(VIA, FROM, CALL_ID, CSEQ));
        assert_eq!(answer_frame(&frame, &template()), answer_frame(&frame, &template()));
    }
}

#[test]
fn spelling_does_not_matter() {
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
fn each_transaction_has_a_tag_of_its_own() {
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
        // Octets that move from one part to its neighbour.
        request("Via: SIP/2.0/UDP h;branch=z9hG4bKxc", FROM, "Call-ID: @a", CSEQ),
        request(VIA, "From: <sip:a@a>;tag=", "Call-ID: c@af", CSEQ),
        request(VIA, "From: <sip:a@a>;tag=1", CALL_ID, CSEQ),
        request(VIA, "From: <sip:a@a>;tag=", CALL_ID, "CSeq: 11 INVITE"),
        // Branches of RFC 2543 need not be unique: all of the Via counts.
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
fn it_depends_on_the_key() {
    let frame = Sender::default().frame(&request(VIA, FROM, CALL_ID, CSEQ));
    let tag = |key: [u8; 16]| {
        let secret = TagSecret { prefix: PREFIX.as_bytes().try_into().expect("eight octets"), key };
        let template = ReplyTemplate::new(&Refusal::default(), &secret).expect("a template");
        Response::read(&Capture::read(&answer_frame(&frame, &template).expect("a response")).message).tag()
    };
    assert_ne!(tag([1; 16]), tag([2; 16]));
    assert_eq!(tag([1; 16]), tag([1; 16]));
}
