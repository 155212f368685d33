//! The headers that a response repeats, and those that it adds (RFC 3261 section 8.2.6).

use filter_common::sip::Method;
use rstest::rstest;

use crate::response::Response;
use crate::wire::{Capture, Sender};
use crate::{PLAIN_VIA, invite, invite_to, refusal, respond, respond_to_frame, template, template_for};

#[rstest]
#[case::name_addr("To: <sip:b@b>", "To: <sip:b@b>;tag=TAG")]
#[case::addr_spec("To: sip:b@b", "To: sip:b@b;tag=TAG")]
#[case::addr_spec_with_parameter("t:sip:b@b;user=phone", "t:sip:b@b;user=phone;tag=TAG")]
#[case::display_name("TO \t: Bob B. <sip:b@b>", "TO \t: Bob B. <sip:b@b>;tag=TAG")]
#[case::quoted_name(
    "To: \"B \\\" ;tag=1\"<sip:b@b;tag=2>;x=\";tag=3\"",
    "To: \"B \\\" ;tag=1\"<sip:b@b;tag=2>;x=\";tag=3\";tag=TAG"
)]
#[case::other_names("To: <sip:b@b>;tagx=1;xtag=2", "To: <sip:b@b>;tagx=1;xtag=2;tag=TAG")]
#[case::white_space_at_the_end("To: <sip:b@b> \t", "To: <sip:b@b>;tag=TAG \t")]
#[case::folded("To:\r\n <sip:b@b>\r\n\t;x\r\n ", "To:\r\n <sip:b@b>\r\n\t;x;tag=TAG\r\n ")]
#[case::eight_bit("To: \"B\u{f6}b\" <sip:b@b>", "To: \"B\\xc3\\xb6b\" <sip:b@b>;tag=TAG")]
#[case::empty_tag("To: <sip:b@b>;tag=", "To: <sip:b@b>;tag=TAG")]
#[case::empty_tag_and_space("To: <sip:b@b>;tag= ", "To: <sip:b@b>;tag=TAG ")]
#[case::no_value("To: <sip:b@b>;tag;x=1", "To: <sip:b@b>;tag=TAG;x=1")]
#[case::two_empty_tags("To: <sip:b@b>;tag=;x;tag", "To: <sip:b@b>;tag=;x;tag=TAG")]
#[case::quoted_nothing("To: <sip:b@b> ; TAG = \"\" ;x", "To: <sip:b@b> ; TAG = TAG ;x")]
fn to_header_gets_exactly_one_tag(#[case] to: &str, #[case] expected: &str) {
    // `Response::to` panics unless there is one of ours.
    assert_eq!(respond(&invite_to(to)).to(), expected);
    let newlines = |text: &str| text.replace("\r\n", "\n");
    let message: Vec<u8> = invite_to(to).into_iter().filter(|byte| *byte != b'\r').collect();
    assert_eq!(respond(&message).to(), newlines(expected));
}

#[test]
fn via_from_to_call_id_and_cseq_are_repeated_byte_for_byte_in_the_order_of_the_request() {
    let lines: [&[u8]; 5] = [
        b"CSeq \t: 0042 \tINVITE \r\n",
        b"f:\t\"\xfc\xff\" <sip:a@a>;x;TAG = f\r\n ;y\r\n",
        b"v: SIP/2.0/UDP 198.18.0.1\r\n",
        b"I : x y\n z@\x80\r\n",
        b"t: <sip:b@b>;tag=\r\n",
    ];
    let other = b"Contact: <sip:a@a>\r\nfoo: bar\r\nVia-Other: 1\r\nToo: 1\r\nCall-Info: x\r\ninfo: y\r\nc: x/y\r\n";
    let mut message = b"INVITE sip:b@b SIP/2.0\r\n".to_vec();
    for line in lines {
        message.extend_from_slice(other);
        message.extend_from_slice(line);
    }
    message.extend_from_slice(b"\r\n");

    let response = respond(&message);
    let names: Vec<&str> = response.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["cseq", "from", "via", "call-id", "to", "retry-after", "content-length"]);
    for (header, line) in response.headers.iter().zip(lines).take(4) {
        assert_eq!(header.line, line, "{}", header.name);
    }
    assert_eq!(response.body, b"");
}

#[test]
fn malformed_from_header_is_repeated_as_it_is() {
    for from in ["From: <<<>>>;;;", "From: \"Al <sip:a@a>;tag=1", "From:", "From: <sip:a@a>;tag=1;tag=2"] {
        let headers = format!("{PLAIN_VIA}\r\n{from}\r\nTo: <sip:b@b>\r\nCall-ID: \r\nCSeq: 99999999999 INVITE");
        assert_eq!(respond(&invite(&headers)).line("from"), from);
    }
}

#[rstest]
#[case::nothing("CSeq:")]
#[case::no_number("CSeq: INVITE")]
#[case::no_method("CSeq: 1")]
#[case::no_space("CSeq: 1INVITE")]
#[case::negative("CSeq: -1 INVITE")]
#[case::garbage("CSeq: abc def")]
#[case::hexadecimal("CSeq: 0x1 INVITE")]
#[case::too_large("CSeq: 99999999999999999999 INVITE")]
#[case::other_method("CSeq: 1 OPTIONS")]
#[case::lower_case("CSeq: 1 invite")]
#[case::more("CSeq: 1 INVITE x")]
#[case::folded("CSeq: 1\r\n INVITE")]
#[case::longer("cseq :1 INVITEX")]
fn odd_cseq_header_is_repeated_as_it_is(#[case] cseq: &str) {
    let message = format!("{PLAIN_VIA}\r\nFrom: <sip:a@a>;tag=f\r\nTo: <sip:b@b>\r\nCall-ID: c@a\r\n{cseq}");
    assert_eq!(respond(&invite(&message)).line("cseq"), cseq);
}

#[test]
fn second_from_call_id_and_cseq_headers_are_repeated_too() {
    for (name, first, second) in [
        ("from", "From: <sip:a@a>;tag=f", "f: <sip:z@z>;tag=g"),
        ("call-id", "Call-ID: c@a", "I: d@a"),
        ("cseq", "CSeq: 1 INVITE", "CSEQ: abc"),
    ] {
        let headers = [PLAIN_VIA, "From: <sip:a@a>;tag=f", "To: <sip:b@b>", "Call-ID: c@a", "CSeq: 1 INVITE"];
        let message = invite(&format!("{}\r\nX: y\r\n{second}", headers.join("\r\n")));
        let lines = [first, second].map(|line| format!("{line}\r\n").into_bytes());
        assert_eq!(respond(&message).lines(name), lines, "{name}");
    }
}

#[test]
fn lines_without_a_colon_are_not_repeated() {
    for line in ["From x", "Via SIP/2.0/UDP z", "v foo: x", "I am: x", "Call-ID z", "CSeq 2 INVITE", "Via\r\n : x", "a"]
    {
        let message = invite_to(&format!("{line}\r\nTo: <sip:b@b>"));
        assert_eq!(respond(&message), respond(&invite_to("To: <sip:b@b>")), "{line}");
    }
}

#[test]
fn request_with_an_empty_request_uri_is_answered() {
    let message = String::from_utf8(invite_to("To: <sip:b@b>")).unwrap();
    let message = message.replacen("sip:bob@198.18.0.2", "", 1);
    assert_eq!(respond(message.as_bytes()).line("to"), respond(&invite_to("To: <sip:b@b>")).line("to"));
}

#[test]
fn status_line_is_that_of_the_policy() {
    let message = invite_to("To: <sip:b@b>");
    for (code, reason) in [(503, "Maintenance"), (400, "x"), (480, " y "), (699, "Besetzt \u{fc}berall")] {
        let template = template_for(&refusal(code, reason, 0));
        let reply = respond_to_frame(&Sender::default().frame(&message), &template).unwrap();
        let response = Response::parse(&Capture::parse(&reply).message);
        assert_eq!(response.start_line, format!("SIP/2.0 {code} {reason}\r\n").into_bytes());
        assert!(response.lines("retry-after").is_empty(), "a Retry-After of 0 leaves it out");
    }
}

#[test]
fn retry_after_never_exceeds_the_time_until_the_planned_end() {
    let message = invite_to("To: <sip:b@b>");
    let retry_after = |seconds| {
        let reply = respond_to_frame(&Sender::default().frame(&message), &template().ending_in(seconds)).unwrap();
        let response = Response::parse(&Capture::parse(&reply).message);
        let lines = response.lines("retry-after");
        lines.first().map(|line| String::from_utf8_lossy(line).trim_end().replace("Retry-After: ", ""))
    };
    assert_eq!(retry_after(7).as_deref(), Some("7"));
    assert_eq!(retry_after(0), None);
    assert_eq!(retry_after(1000), retry_after(u32::MAX), "the planned end is far away");
}

#[test]
fn retry_after_has_jitter_of_up_to_a_fifth() {
    for (base, most) in [(1, 1), (4, 4), (5, 6), (30, 36), (600, 720), (86_400, 103_680)] {
        let template = template_for(&refusal(503, "Maintenance", base));
        let mut seen = std::collections::BTreeSet::new();
        for call in 0..2000 {
            let headers = format!("{PLAIN_VIA}\r\nf: <sip:a@a>\r\nt: <sip:b@b>\r\ni: {call}\r\nCSeq: 1 INVITE");
            let reply = respond_to_frame(&Sender::default().frame(&invite(&headers)), &template).unwrap();
            let line = Response::parse(&Capture::parse(&reply).message).line("retry-after");
            seen.insert(line.strip_prefix("Retry-After: ").and_then(|seconds| seconds.parse().ok()).expect(&line));
        }
        let expected = if most - base < 100 { (base..=most).collect() } else { seen.clone() };
        assert_eq!(seen, expected, "not each of {base} to {most} occurs");
        assert!(seen.iter().all(|seconds| (base..=most).contains(seconds)), "{base}");
    }
}

#[test]
fn summary_names_source_method_uri_and_call_id() {
    let message = invite_to("To: <sip:b@b>");
    let frame = Sender::default().frame(&message);
    let mut out = vec![0; 2000];
    let summary = filter_reply::respond(&frame, 1500, &mut out, &template()).unwrap().summary;
    assert_eq!(summary.source.to_string(), "198.18.0.1:40123");
    assert_eq!((summary.method, summary.method.as_str()), (Method::Invite, "INVITE"));
    assert_eq!(summary.request_uri, b"sip:bob@198.18.0.2");
    assert_eq!(summary.call_id, b"c@a");
}
