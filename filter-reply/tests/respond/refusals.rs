//! Requests that get no response, each with the reason.

use filter_reply::Unanswered::{self, *};
use rstest::rstest;

use crate::wire::{Capture, Sender};
use crate::{
    PLAIN_VIA, capture_response, invite, invite_to, invite_via, refusal, respond, respond_to_frame, template_for,
};

/// Returns the reason why `message` gets no response.
#[track_caller]
fn reason(message: &[u8]) -> Option<Unanswered> {
    capture_response(message).err()
}

const FROM: &str = "From: <sip:a@a>;tag=f";
const TO: &str = "To: <sip:b@b>";
const CALL_ID: &str = "Call-ID: c@a";
const CSEQ: &str = "CSeq: 1 INVITE";

#[test]
fn request_without_a_header_that_the_response_repeats_gets_none() {
    let all = [PLAIN_VIA, FROM, TO, CALL_ID, CSEQ];
    assert_eq!(reason(&invite(&all.join("\r\n"))), None);
    for (missing, expected) in all.iter().zip([NoVia, NoFrom, NoTo, NoCallId, NoCseq]) {
        let rest: Vec<&str> = all.iter().filter(|header| *header != missing).copied().collect();
        assert_eq!(reason(&invite(&rest.join("\r\n"))), Some(expected), "without {missing}");
        // The continuation of another header does not count, nor does the body.
        let folded = format!("{}\r\nSubject: x\r\n {missing}", rest.join("\r\n"));
        assert_eq!(reason(&invite(&folded)), Some(expected), "folded {missing}");
    }
}

#[test]
fn request_with_two_from_to_call_id_or_cseq_headers_gets_no_response() {
    for twice in [FROM, TO, CALL_ID, CSEQ, "f: <sip:a@a>;tag=f", "t : <sip:b@b>", "I: c@a"] {
        let all = [PLAIN_VIA, FROM, TO, CALL_ID, CSEQ, twice].join("\r\n");
        assert_eq!(reason(&invite(&all)), Some(Duplicate), "{twice}");
    }
}

#[rstest]
#[case::no_value("Via:")]
#[case::garbage("Via: !!!")]
#[case::no_transport("Via: SIP/2.0 h")]
#[case::no_sent_by("Via: SIP/2.0/UDP")]
#[case::no_host("Via: SIP/2.0/UDP ;branch=1")]
#[case::no_space("Via: SIP/2.0/UDPh")]
#[case::version("Via: SIP/7.0/UDP h")]
#[case::other_protocol("Via: HTTP/2.0/UDP h")]
#[case::empty_port("Via: SIP/2.0/UDP h:")]
#[case::port_by_name("Via: SIP/2.0/UDP h:sip")]
#[case::port_and_letters("Via: SIP/2.0/UDP h:5060x")]
#[case::ipv6_without_brackets("Via: SIP/2.0/UDP 2001:db8::1")]
#[case::open_bracket("Via: SIP/2.0/UDP [2001:db8::1;branch=1")]
#[case::empty_parameter("Via: SIP/2.0/UDP h;;branch=1")]
#[case::semicolon_at_the_end("Via: SIP/2.0/UDP h;branch=1;")]
#[case::open_quote("Via: SIP/2.0/UDP h;x=\"1")]
#[case::open_comment("Via: SIP/2.0/UDP h (x")]
#[case::parameter_after_comment("Via: SIP/2.0/UDP h (x) ;branch=1")]
#[case::two_values("Via: SIP/2.0/UDP h;x=1 2")]
#[case::comma_first("Via: , SIP/2.0/UDP h")]
#[case::two_rports("Via: SIP/2.0/UDP h;rport;rport=5")]
#[case::two_received("Via: SIP/2.0/UDP h;received=1.2.3.4;received=198.18.0.1")]
#[case::two_branches("Via: SIP/2.0/UDP h;branch=1;branch=2")]
#[case::nul("Via: SIP/2.0/UDP h;branch=1\0")]
fn malformed_topmost_via_gets_no_response(#[case] via: &str) {
    assert_eq!(reason(&invite_via(via)), Some(MalformedVia));
}

#[rstest]
#[case::tag("To: <sip:b@b>;tag=1", InDialog)]
#[case::tag_spelled_oddly("t: sip:b@b ; TAG\r\n = \"1\"", InDialog)]
#[case::no_value("To:", MalformedTo)]
#[case::open_quote("To: \"B <sip:b@b>", MalformedTo)]
#[case::open_bracket("To: <sip:b@b", MalformedTo)]
#[case::name_only("To: \"Bob\"", MalformedTo)]
#[case::empty_parameter("To: <sip:b@b>;;x", MalformedTo)]
#[case::semicolon_at_the_end("To: <sip:b@b>;", MalformedTo)]
#[case::list("To: <sip:b@b>, <sip:c@b>", MalformedTo)]
#[case::two_empty_tags("To: <sip:b@b>;tag=;tag", MalformedTo)]
#[case::two_tags("To: <sip:b@b>;tag=;tag=1", MalformedTo)]
#[case::tag_before_the_address("To: Bob;tag=1 <sip:b@b>", MalformedTo)]
#[case::no_colon("To <sip:b@b>", Headers)]
#[case::fold_before_the_colon("To\r\n : <sip:b@b>", Headers)]
fn malformed_to_or_to_with_a_tag_gets_no_response(#[case] to: &str, #[case] expected: Unanswered) {
    assert_eq!(reason(&invite_to(to)), Some(expected));
}

#[rstest]
#[case::nothing("CSeq:", MalformedCseq)]
#[case::no_number("CSeq: INVITE", MalformedCseq)]
#[case::no_method("CSeq: 1", MalformedCseq)]
#[case::no_space("CSeq: 1INVITE", MalformedCseq)]
#[case::negative("CSeq: -1 INVITE", MalformedCseq)]
#[case::other_method("CSeq: 1 OPTIONS", CseqMethod)]
#[case::lower_case("CSeq: 1 invite", CseqMethod)]
#[case::more("CSeq: 1 INVITE x", CseqMethod)]
#[case::longer("CSeq: 1 INVITEX", CseqMethod)]
fn malformed_cseq_gets_no_response(#[case] cseq: &str, #[case] expected: Unanswered) {
    assert_eq!(reason(&invite(&[PLAIN_VIA, FROM, TO, CALL_ID, cseq].join("\r\n"))), Some(expected));
}

#[test]
fn only_methods_that_policy_may_refuse_are_answered() {
    let request = |method: &str| {
        let headers = [PLAIN_VIA, FROM, TO, CALL_ID].join("\r\n");
        format!("{method} sip:b@b SIP/2.0\r\n{headers}\r\nCSeq: 1 {method}\r\n\r\n").into_bytes()
    };
    for method in ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH"] {
        assert_eq!(respond(&request(method)).line("cseq"), format!("CSeq: 1 {method}"));
    }
    for method in ["ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO", "NOTIFY", "REFER", "invite", "INVITEX", "X"] {
        assert_eq!(reason(&request(method)), Some(Method), "{method}");
    }
}

#[rstest]
#[case::response("SIP/2.0 200 OK\r\n", StartLine)]
#[case::no_version("INVITE sip:b@b\r\n", StartLine)]
#[case::other_version("INVITE sip:b@b SIP/3.0\r\n", StartLine)]
#[case::more_version("INVITE sip:b@b SIP/2.01\r\n", StartLine)]
#[case::space_at_the_end("INVITE sip:b@b SIP/2.0 \r\n", StartLine)]
#[case::space_in_uri("INVITE sip:b b SIP/2.0\r\n", StartLine)]
#[case::no_uri("INVITE  SIP/2.0\r\n", StartLine)]
#[case::folded("INVITE sip:b@b SIP/2.0\r\n x\r\n", Headers)]
#[case::lone_cr("INVITE sip:b@b SIP/2.0\r\n\rX: y\r\n", Headers)]
fn malformed_start_line_gets_no_response(#[case] start_line: &str, #[case] expected: Unanswered) {
    let message = format!("{start_line}{}\r\n\r\n", [PLAIN_VIA, FROM, TO, CALL_ID, CSEQ].join("\r\n"));
    assert_eq!(reason(message.as_bytes()), Some(expected));
}

#[test]
fn line_ends_before_the_start_line_are_skipped() {
    let message = [b"\r\n\r\n\n".to_vec(), invite_to(TO)].concat();
    assert_eq!(respond(&message).start_line, b"SIP/2.0 503 Maintenance\r\n");
    for message in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b"INVITE"] {
        assert_eq!(reason(message), Some(StartLine), "{}", message.escape_ascii());
    }
}

#[test]
fn shortest_request_is_answered() {
    let message = b"INVITE a:b SIP/2.0\r\nv:SIP/2.0/UDP h\r\nf:a:b\r\nt:a:b\r\ni:1\r\nCSeq:1 INVITE\r\n\r\n";
    assert_eq!(message.len(), 73);
    assert_eq!(respond(message).start_line, b"SIP/2.0 503 Maintenance\r\n");
}

#[test]
fn sixty_four_separate_runs_of_headers_are_repeated_and_no_more() {
    let request = |vias: usize| {
        let vias = format!("{PLAIN_VIA}\r\nX: y\r\n").repeat(vias);
        invite(&format!("{vias}{}", [FROM, TO, CALL_ID, CSEQ].join("\r\n")))
    };
    assert_eq!(respond(&request(63)).lines("via").len(), 63);
    assert_eq!(reason(&request(64)), Some(Scattered));
    let side_by_side = format!("{PLAIN_VIA}\r\n").repeat(500);
    let message = invite(&format!("{side_by_side}{}", [FROM, TO, CALL_ID, CSEQ].join("\r\n")));
    assert_eq!(respond(&message).lines("via").len(), 500);
}

#[test]
fn response_is_at_most_200_bytes_longer_than_its_request() {
    // The shortest request, from an address of maximum length. The reason phrase makes the response as long as wanted.
    let via = "v:SIP/2.0/UDP h;rport";
    let message = format!("INVITE a:b SIP/2.0\r\n{via}\r\nf:a:b\r\nt:a:b\r\ni:1\r\nCSeq:1 INVITE\r\n\r\n");
    let source = "[2001:db8:1111:2222:3333:4444:5555:6666]:40123".parse().unwrap();
    let frame = Sender { source, ..Sender::ipv6() }.frame(message.as_bytes());
    let growth = |reason_len: usize| {
        let template = template_for(&refusal(503, &"x".repeat(reason_len), 86_400));
        let frame = respond_to_frame(&frame, &template)?;
        Ok(Capture::parse(&frame).message.len() as isize - message.len() as isize)
    };
    let without_reason = growth(1).unwrap() - 1;
    let most = (200 - without_reason) as usize;
    assert_eq!(growth(most), Ok(200));
    assert_eq!(growth(most + 1), Err(Amplification));
}
