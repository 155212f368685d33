//! Requests that get no response, each with the reason.

use filter_common::maps::MAX_FRAME;
use filter_reply::Unanswered::{self, *};
use rstest::rstest;

use crate::wire::{Capture, Sender};
use crate::{
    PLAIN_VIA, capture_response, invite, invite_to, invite_via, refusal, respond, respond_to_frame, template_for,
};

/// Length of the shortest headers in front of a message: Ethernet, IPv4 and UDP.
const HEADERS: usize = 42;

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

#[rstest]
#[case::no_value("Via:")]
#[case::garbage("Via: !!!")]
#[case::no_transport("Via: SIP/2.0 h")]
#[case::no_sent_by("Via: SIP/2.0/UDP")]
#[case::no_host("Via: SIP/2.0/UDP ;branch=1")]
#[case::no_space("Via: SIP/2.0/UDPh")]
#[case::version("Via: SIP/7.0/UDP h")]
#[case::other_protocol("Via: HTTP/2.0/UDP h")]
#[case::next_via_in_place_of_sent_by("Via: SIP/2.0/UDP , SIP/2.0/UDP h;rport")]
#[case::next_line_with_a_via("Via:\r\nVia: SIP/2.0/UDP h;rport")]
fn topmost_via_that_names_no_destination_gets_no_response(#[case] via: &str) {
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
#[case::two_tags("To: <sip:b@b>;tag=1;tag=2", InDialog)]
#[case::two_tags_of_which_the_first_is_empty("To: <sip:b@b>;tag=;tag=1", InDialog)]
#[case::two_tags_of_which_the_last_is_empty("To: <sip:b@b>;tag=1;tag=", InDialog)]
#[case::two_headers("To: <sip:b@b>\r\nt : <sip:b@b>", Duplicate)]
#[case::tag_before_the_address("To: Bob;tag=1 <sip:b@b>", MalformedTo)]
#[case::no_colon("To <sip:b@b>", Headers)]
#[case::fold_before_the_colon("To\r\n : <sip:b@b>", Headers)]
fn malformed_to_or_to_with_a_tag_gets_no_response(#[case] to: &str, #[case] expected: Unanswered) {
    assert_eq!(reason(&invite_to(to)), Some(expected));
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
#[case::two_spaces("INVITE sip:b@b  SIP/2.0\r\n", StartLine)]
#[case::no_uri_and_no_space("INVITE SIP/2.0\r\n", StartLine)]
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
fn headers_in_as_many_places_as_a_redirected_frame_can_have_are_repeated() {
    let request = |vias: usize| {
        let vias = format!("{PLAIN_VIA}\nX:\n{}", "v:\nX\n".repeat(vias - 1));
        invite(&format!("{vias}{}", [FROM, TO, CALL_ID, CSEQ].join("\n")))
    };
    let largest = request(767);
    assert!(largest.len() + HEADERS > MAX_FRAME as usize, "a redirected frame can have more");
    assert_eq!(respond(&largest).lines("via").len(), 767);
    assert_eq!(reason(&request(768)), Some(Scattered));
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
