//! Tests of [`classify`](super::classify) with the spellings of `tests/corpus`, on which Kamailio was tried, and of RFC
//! 3261.

extern crate std;

use std::format;
use std::iter;
use std::string::String;
use std::vec::Vec;

use super::Decision::{Emergency, InDialog, New, Replaces, Undecided};
use super::{Decision, Method, UserPart};

/// Returns an INVITE with the header `to`.
fn invite(to: &str) -> Vec<u8> {
    format!(
        "INVITE sip:bob@198.18.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1;branch=z9hG4bKx\r\n\
         From: <sip:alice@198.18.0.1>;tag=from\r\n{to}\r\nCall-ID: x@198.18.0.1\r\nCSeq: 1 INVITE\r\n\r\n\
         v=0\r\nt=0 0\r\nTo: <sip:x@y>;tag=body\r\n"
    )
    .into_bytes()
}

/// Returns the decision on an INVITE, or `None` if the message is not one.
#[track_caller]
fn classify(message: &[u8]) -> Option<Decision> {
    let request = super::classify(message)?;
    assert_eq!(request.method, Method::Invite);
    Some(request.decision)
}

#[track_caller]
fn decide(to: &str) -> Decision {
    classify(&invite(to)).expect("an INVITE")
}

#[track_caller]
fn assert_all(expected: Decision, headers: &[&str]) {
    for to in headers {
        assert_eq!(decide(to), expected, "{to:?}");
        // Bare LF ends a line as well.
        let message = String::from_utf8(invite(to)).expect("UTF-8").replace("\r\n", "\n");
        assert_eq!(classify(message.as_bytes()), Some(expected), "with LF: {to:?}");
    }
}

#[test]
fn a_to_tag_is_found_in_any_spelling() {
    assert_all(
        InDialog,
        &[
            "To: <sip:bob@b>;tag=1",
            "To:<sip:bob@b>;tag=1",
            "to \t: \"B\" <sip:bob@b>;tag=1",
            "t: <sip:bob@b>;TAG=1",
            "T\t:<sip:bob@b>;tAg=1",
            "TO: sip:bob@b;tag=1",
            "To: <sip:bob@b> ; tag = 1",
            "To: <sip:bob@b>\t;\ttag\t=\t1",
            "To: <sip:bob@b>;a;b=c;d=\"e\\\";\";tag=1",
            "To: <sip:bob@b>;x=[2001:db8::1]:5060;tag=1",
            "To: <sip:bob@b>;tag\r\n =\r\n 1",
            "To: <sip:bob@b>\r\n \r\n\t;tag=1",
            "To:\r\n <sip:bob@b>;tag=1",
            "To: <sip:bob@b>;tag=\"x\"",
            "To: <sip:bob@b>;tag=;tag=2",
            "To: <sip:bob@b>;tag=2;tag=",
            "To: <sip:bob@b>;tag;tag=2",
            "To: <sip:bob@b;tag=u>;tag=1",
            "To: <sip:bob@b>;tag=1,2",
            "To: <sip:bob@b>;tag=1;;",
            "To: <sip:bob@b>;tagx=0;ta=0;t=0;tag=1",
            "To: \"\u{e4}\" <sip:b\u{fc}b@b>;tag=1",
        ],
    );
}

#[test]
fn a_tag_outside_the_to_parameters_is_not_a_to_tag() {
    assert_all(
        New,
        &[
            "To: <sip:bob@b>",
            "To: sip:bob@b",
            "To: <sip:bob@b;tag=1>",
            "To: \"x;tag=1\" <sip:bob@b>",
            "To: \"x\\\";tag=1\" <sip:bob@b>",
            "To: \"x\\\\\" <sip:bob@b>",
            "To: \"x\"<sip:bob@b>",
            "To: Bob B <sip:bob@b>",
            "To: <sip:bob@b>;xtag=1",
            "To: <sip:bob@b>;tagx=1",
            "To: <sip:bob@b>;ta=1",
            "To: <sip:bob@b>;t",
            "To: <sip:bob@b>;p=\";tag=1\"",
            "To: <sip:bob@b>;tag=",
            "To: <sip:bob@b>;tag= ",
            "To: <sip:bob@b>;tag",
            "To: <sip:bob@b>;tag=\"\"",
            "To: <sip:bob@b>;tag=;x=1",
            "To: <sip:bob@b>\r\nX-To: <sip:x@y>;tag=1",
            "To: <sip:bob@b>\r\nTox: <sip:x@y>;tag=1",
            "To: <sip:bob@b>\r\nTimestamp: 1;tag=1",
            "To: <sip:bob@b>\r\nSubject: x\r\n To: <sip:x@y>;tag=1",
            "X-To: <sip:x@y>;tag=1\r\nt\t: <sip:bob@b>",
        ],
    );
}

#[test]
fn a_malformed_or_second_to_header_is_undecided() {
    assert_all(
        Undecided,
        &[
            "To: ",
            "To: ;x=1",
            "To: <sip:bob@b>\r\nTo: <sip:bob@b>",
            "To: <sip:bob@b>\r\nt: <sip:bob@b>;tag=1",
            "To: \"Bob <sip:bob@b>",
            "To: \"Bob\\\" <sip:bob@b>",
            "To: \"Bob\"",
            "To: <sip:bob@b",
            "To: <sip:bob@b\r\n >",
            "To: <sip:bob@b>;;x=1",
            "To: <sip:bob@b>;",
            "To: <sip:bob@b>; ",
            "To: <sip:bob@b>;x=\"1",
            "To: <sip:bob@b>, <sip:bob@c>;tag=1",
            "To: <sip:bob@b> junk",
            "To: <sip:a@b> <sip:bob@b>",
            "To: <sip:bob@b>;x=1 2",
            "To: <sip:bob\u{0}@b>",
            "To <sip:bob@b>",
            "To\r\n : <sip:bob@b>",
            "X-Other: y",
        ],
    );
}

#[test]
fn a_tag_before_the_address_is_not_a_new_call() {
    // Kamailio drops `Bob;tag=1 <…>`. Any decision will do except the one that refuses the call.
    assert_ne!(decide("To: Bob;tag=1 <sip:bob@b>"), New);
}

#[test]
fn only_invite_in_capitals_is_an_invite() {
    for method in ["invite", "Invite", "INVITEX", "BYE", "CANCEL", "SIP/2.0", ""] {
        let message = String::from_utf8(invite("To: <sip:bob@b>")).expect("UTF-8").replacen("INVITE", method, 1);
        assert_eq!(classify(message.as_bytes()), None, "{method}");
    }
    for short in ["", "\r\n\r\n", "I", "INVITE"] {
        assert_eq!(classify(short.as_bytes()), None, "{short:?}");
    }
    assert_eq!(classify(b"INVITE sip:b SIP/2.0"), Some(Undecided));
}

#[test]
fn up_to_16_bytes_of_line_ends_before_the_start_line_are_skipped() {
    let mut message = b"\r\n\r\n\n".to_vec();
    message.extend(invite("To: <sip:bob@b>"));
    assert_eq!(classify(&message), Some(New));
    let mut message = b"\r\n".repeat(9);
    message.extend(invite("To: <sip:bob@b>"));
    assert_eq!(classify(&message), None);
}

#[test]
fn a_malformed_start_line_is_undecided() {
    for (start, expected) in [
        ("INVITE sip:bob@b SIP/2.0\r\n", New),
        ("INVITE sip:bob@b sip/2.0\n", New),
        ("INVITE sip:bob@b SIP/2.0 \r\n", Undecided),
        ("INVITE sip:bob@b SIP/2.0x\r\n", Undecided),
        ("INVITE sip:bob@b SIP/3.0\r\n", Undecided),
        ("INVITE sip:bob@b HTTP/1.1\r\n", Undecided),
        ("INVITE sip:bob@b  SIP/2.0\r\n", Undecided),
        ("INVITE sip:bob b SIP/2.0\r\n", Undecided),
        ("INVITE sip:bob@b\r\n", Undecided),
        ("INVITE sip:bob@b SIP/2.0\r", Undecided),
        ("INVITE sip:bob@b SIP/2.0\r\n ", Undecided),
    ] {
        let message = format!("{start}To: <sip:bob@b>\r\n\r\n");
        assert_eq!(classify(message.as_bytes()), Some(expected), "{start:?}");
    }
}

#[test]
fn headers_without_an_end_are_undecided() {
    let whole = invite("To: <sip:bob@b>");
    let headers = whole.windows(4).position(|four| four == b"\r\n\r\n").expect("an empty line") + 4;
    for length in 16..headers {
        assert_eq!(classify(&whole[..length]), Some(Undecided), "cut after {length} bytes");
    }
    assert_eq!(classify(&whole[..headers]), Some(New));
}

#[test]
fn a_message_longer_than_a_datagram_is_not_classified() {
    let mut message = invite("To: <sip:bob@b>");
    let end = message.len() - 2;
    message.splice(end..end, b"X: ".iter().copied().chain(iter::repeat_n(b'x', 65_000)).chain(*b"\r\n"));
    assert_eq!(classify(&message), Some(New));
    message.splice(end..end, [b'x'; 1000]);
    assert_eq!(classify(&message), None);
}

#[test]
fn lines_longer_than_one_step_are_scanned_to_their_end() {
    for length in 0..2000 {
        let to = format!("X: {}\r\nTo: \"{}\" <sip:bob@b>", "x".repeat(length), "y".repeat(length));
        assert_eq!(decide(&to), New, "{length}");
        assert_eq!(decide(&format!("{to};tag=1")), InDialog, "{length}");
    }
}

#[test]
fn an_emergency_header_is_found_before_and_after_the_to_header() {
    let headers = [
        "Priority: emergency",
        "priority:EMERGENCY",
        "PRIORITY \t: \t psap-callback",
        "Priority:\r\n emergency",
        "Resource-Priority: ets.0",
        "resource-priority: WPS.4",
        "Resource-Priority:esnet.1",
        "Resource-Priority: dsn.flash, wps.2",
        "Resource-Priority: dsn.flash,\r\n\tets.3",
    ];
    for header in headers {
        assert_all(Emergency, &[&format!("{header}\r\nTo: <sip:bob@b>"), &format!("To: <sip:bob@b>\r\n{header}")]);
    }
}

#[test]
fn other_priorities_do_not_exempt() {
    for header in [
        "Priority: urgent",
        "Priority: normal",
        "Priority:",
        "Priority-Level: emergency",
        "X-Priority: emergency",
        "Subject: Priority: emergency",
        "Subject: x\r\n Priority: emergency",
        "Resource-Priority: dsn.flash",
        "Resource-Priority: xets.0",
        "Resource-Priority: q735.0, drsn.routine",
        "Resource-Priorities: ets.0",
        "Accept-Resource-Priority: ets.0",
        "Replaces-Not: x",
        "Joint: x",
        "Reply-To: <sip:x@y>",
        "Record-Route: <sip:x@y;lr>",
        "P-Asserted-Identity: <sip:x@y>",
    ] {
        assert_all(New, &[&format!("{header}\r\nTo: <sip:bob@b>"), &format!("To: <sip:bob@b>\r\n{header}")]);
    }
}

#[test]
fn replaces_and_join_exempt() {
    for header in ["Replaces: a@b;to-tag=1;from-tag=2", "REPLACES :a", "Join: a@b;to-tag=1;from-tag=2", "join:a"] {
        assert_all(Replaces, &[&format!("{header}\r\nTo: <sip:bob@b>"), &format!("To: <sip:bob@b>\r\n{header}")]);
    }
}

#[track_caller]
fn request_to(uri: &str) -> super::Request {
    let message = format!("INVITE {uri} SIP/2.0\r\nTo: <sip:bob@b>\r\n\r\n");
    super::classify(message.as_bytes()).expect("an INVITE")
}

#[test]
fn the_urn_of_the_emergency_service_exempts() {
    for uri in ["urn:service:sos", "urn:service:sos.fire", "URN:Service:SOS"] {
        assert_eq!(request_to(uri).decision, Emergency, "{uri}");
    }
    for uri in ["urn:service:counseling", "urn:service:so", "sip:urn:service:sos"] {
        assert_eq!(request_to(uri).decision, New, "{uri}");
    }
}

#[test]
fn emergency_numbers_have_only_their_combined_bits_and_most_others_do_not() {
    let user = |text| UserPart::new(text).expect("a user part");
    let numbers = ["112", "911", "999", "123456789012345", "sos"];
    for count in 1..=numbers.len() {
        let bits = UserPart::combined_bits(numbers[..count].iter().map(|number| user(number)));
        assert!(numbers[..count].iter().all(|number| user(number).has_only_bits(bits)), "{count} numbers");
    }
    let bits = UserPart::combined_bits(["112", "911", "999"].map(user));
    for other in ["+4930123456", "1123", "0112", "12345678901234", "bob"] {
        assert!(!user(other).has_only_bits(bits), "{other}");
    }
    assert!(!user("1").has_only_bits(UserPart::combined_bits([])), "no numbers, no bits");
}

#[test]
fn the_user_part_of_a_uri_is_the_key_that_an_operator_configures() {
    let user = |text| UserPart::new(text).expect("a user part");
    for (uri, expected) in [
        ("sip:911@b", "911"),
        ("sips:112@b", "112"),
        ("SIP:112@b;user=phone", "112"),
        ("tel:911", "911"),
        ("tel:911;phone-context=+1", "911"),
        ("sip:911;phone-context=+1@b", "911"),
        ("sip:911:password@b", "911"),
        ("sip:911", "911"),
        ("sip:12345678@b", "12345678"),
        ("sip:123456789012345@b", "123456789012345"),
    ] {
        assert_eq!(request_to(uri).user, user(expected), "{uri}");
    }
    for uri in ["sip:1911@b", "sip:9111@b", "sip:911x@b", "sip:1234567890123456@b", "sip:91@b", "http:911@b", "911"] {
        assert_ne!(request_to(uri).user, user("911"), "{uri}");
    }
    for text in ["", "1234567890123456", "9 1", "911@b", "\u{e4}"] {
        assert_eq!(UserPart::new(text), None, "{text:?}");
    }
}

#[test]
fn a_to_tag_is_located_in_the_message() {
    for to in
        ["To: <sip:bob@b>;tag=1x", "t:sip:bob@b; Tag = 1x", "To: <sip:bob@b>;tag=\"1x\"", "To: <sip:b>;a=2;tag\r\n =1x"]
    {
        let mut message = b"\r\n".to_vec();
        message.extend(invite(to));
        let tag = super::classify(&message).expect("an INVITE").tag as usize;
        assert_eq!(&message[tag..tag + 2], b"1x", "{to}");
    }
}

#[test]
fn requests_of_other_methods_are_scanned_alike() {
    for method in Method::REFUSABLE.iter().chain([&Method::Ack]) {
        for (to, expected) in [("To: <sip:bob@b>", New), ("To: <sip:bob@b>;tag=1", InDialog)] {
            let message = String::from_utf8(invite(to)).expect("UTF-8").replacen("INVITE", method.as_str(), 1);
            let request = super::classify(message.as_bytes()).expect("a request");
            assert_eq!((request.method, request.decision), (*method, expected), "{method:?}");
        }
    }
}

#[test]
fn decisions_survive_the_conversion_to_numbers_and_back() {
    for decision in [Undecided, New, InDialog, Emergency, Replaces] {
        assert_eq!(Decision::from_u32(decision as u32), decision);
    }
    for unknown in [5, 6, 256, u32::MAX] {
        assert_eq!(Decision::from_u32(unknown), Undecided);
    }
}
