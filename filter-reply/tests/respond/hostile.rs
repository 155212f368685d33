//! Truncated, mutated and random frames: no panic, and every response is well-formed and matches its request.

use filter_common::sip::{Decision, classify};
use filter_reply::Unanswered;

use crate::well_formed::check;
use crate::wire::{Capture, Sender};
use crate::{capture_response, invite, invite_to, invite_via, respond_to_frame, template};

/// Returns requests that together use every construct of the grammar.
fn messages() -> Vec<Vec<u8>> {
    let rest = "From: \"A\\\"\" <sip:a@a>;tag=f\r\nCall-ID: c@a\r\nCSeq: 1 INVITE";
    vec![
        invite(&format!(
            "Via: SIP/2.0/UDP h:5070;branch=z9hG4bKx;rport , SIP/2.0/UDP i (c)\r\nTo: \"B\" <sip:b@b>;x=1\r\n{rest}"
        )),
        invite(&format!(
            "t: sip:b@b;tag=\r\nX: y\r\n z\r\n{rest}\r\nv : SIP / 2.0 / TLS [2001:db8::1] ;received=1.2.3.4\r\n ;rport=9"
        )),
    ]
}

#[test]
fn truncated_frame_gets_no_response() {
    for sender in [Sender::default(), Sender { tags: vec![(0x8100, 5)], ..Sender::ipv6() }] {
        for message in messages() {
            let frame = sender.frame(&message);
            assert!(check(&sender, &message, respond_to_frame(&frame, &template())));
            for len in 0..frame.len() {
                assert_eq!(respond_to_frame(&frame[..len], &template()), Err(Unanswered::Unreadable), "{len}");
            }
        }
    }
}

#[test]
fn message_truncated_before_its_empty_line_gets_no_response() {
    let sender = Sender::default();
    for message in messages() {
        let headers = message.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        for len in 0..message.len() {
            let message = &message[..len];
            let answered = check(&sender, message, respond_to_frame(&sender.frame(message), &template()));
            assert_eq!(answered, len >= headers, "truncated after {len} bytes");
        }
    }
}

#[test]
fn response_to_a_message_with_one_mutated_byte_is_well_formed() {
    let sender = Sender::default();
    for message in messages() {
        let mut answered = 0;
        for at in 0..message.len() {
            let mut mutated = message.clone();
            for byte in 0..=u8::MAX {
                mutated[at] = byte;
                answered += u32::from(check(&sender, &mutated, respond_to_frame(&sender.frame(&mutated), &template())));
            }
        }
        assert!(answered > 10_000, "only {answered} mutations are answered");
    }
}

#[test]
fn response_to_a_frame_with_one_mutated_header_byte_has_correct_lengths_and_checksums() {
    for sender in [
        Sender { tags: vec![(0x8100, 5)], ..Sender::default() },
        Sender { extensions: vec![(0, vec![0; 8])], ..Sender::ipv6() },
    ] {
        let message = messages().remove(0);
        let frame = sender.frame(&message);
        for at in 0..frame.len() - message.len() {
            let mut mutated = frame.clone();
            for byte in 0..=u8::MAX {
                mutated[at] = byte;
                // Addresses and ports may differ, but `Capture::parse` checks lengths and checksums.
                if let Ok(response) = respond_to_frame(&mutated, &template()) {
                    Capture::parse(&response);
                }
            }
        }
    }
}

/// A pseudo-random number generator (a linear one with Knuth's constants for MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn random_messages_never_panic() {
    let pieces: Vec<&[u8]> = [
        "INVITE sip:b@b SIP/2.0",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        "Via:",
        "v",
        "SIP/2.0/UDP ",
        "h",
        ":5060",
        ";",
        "rport",
        "=",
        "received",
        "branch",
        "To:",
        "t",
        "From:",
        "f",
        "i:",
        "Call-ID:",
        "CSeq:",
        "1 INVITE",
        "\"",
        "\\",
        "<",
        ">",
        ",",
        "(",
        ")",
        "tag",
        "[::1]",
        "\0",
        "\u{fc}",
        "\r\n ",
        "\r\n\r\n",
    ]
    .iter()
    .map(|piece| piece.as_bytes())
    .collect();
    let mut random = Random(1);
    for _ in 0..100_000 {
        let mut message =
            if random.below(4) > 0 { b"INVITE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP h".to_vec() } else { vec![] };
        for _ in 0..random.below(40) {
            message.extend(pieces[random.below(pieces.len())]);
        }
        let _ = capture_response(&message);
    }
}

#[test]
fn requests_that_the_kernel_finds_new_are_answered_and_those_in_a_dialog_are_not() {
    let pieces = [
        "<sip:b@b>",
        "sip:b@b",
        "\"",
        "B",
        "\\",
        " ",
        "\t",
        "\r\n ",
        ";",
        ";",
        "=",
        "tag",
        ";Tag",
        ";tag=",
        ";tag=1",
        "t",
        "x",
        ";x=1",
        "\"\"",
        "<",
        ">",
        ",",
        ":",
        "(",
        ")",
        "1",
        "\u{fc}",
    ];
    let (mut new, mut in_dialog) = (0, 0);
    let mut random = Random(2);
    for _ in 0..100_000 {
        let mut to = String::from(if random.below(4) > 0 { "To: <sip:b@b>" } else { "t:" });
        for _ in 0..random.below(9) {
            to.push_str(pieces[random.below(pieces.len())]);
        }
        let message = invite_to(&to);
        let response = capture_response(&message);
        match classify(&message).map(|request| request.decision) {
            Some(Decision::New) => {
                new += 1;
                assert!(response.is_ok(), "{to:?}: {response:?}");
            }
            Some(Decision::InDialog) => {
                in_dialog += 1;
                assert!(response.is_err(), "{to:?}");
            }
            _ => {}
        }
    }
    assert!(new > 10_000 && in_dialog > 5_000, "{new} new, {in_dialog} in a dialog");
}

/// Returns a random text of up to `most` of `pieces`.
fn text(random: &mut Random, pieces: &[&str], most: usize) -> String {
    (0..random.below(most)).map(|_| pieces[random.below(pieces.len())]).collect()
}

#[test]
fn any_via_with_a_protocol_and_a_host_is_answered_whatever_follows() {
    let pieces = [
        ";",
        ";",
        ";",
        "=",
        "=",
        "\"",
        "\\",
        " ",
        "\t",
        "\r\n ",
        "(",
        ")",
        "<",
        ">",
        ",",
        ":",
        "[",
        "]",
        "@",
        "/",
        "?",
        "\0",
        "\u{fc}",
        "x",
        "5070",
        "rport",
        "RPORT",
        "received",
        "branch",
        "z9hG4bK",
        "maddr",
        "SIP/2.0/UDP i",
    ];
    let sender = Sender::default();
    let mut random = Random(3);
    for _ in 0..20_000 {
        let sent_by = ["h", "198.18.0.1:5070", "[2001:db8::1]:5070"][random.below(3)];
        let message = invite_via(&format!("Via: SIP/2.0/UDP {sent_by}{}", text(&mut random, &pieces, 12)));
        let response = respond_to_frame(&sender.frame(&message), &template());
        assert!(check(&sender, &message, response), "{}", message.escape_ascii());
    }
}

#[test]
fn any_from_call_id_and_cseq_value_is_answered() {
    let pieces = [
        ";", "=", "\"", "\\", " ", "\r\n ", "<", ">", ",", ":", "tag", "0", "17", "INVITE", "OPTIONS", "\0", "\u{fc}",
        "@",
    ];
    let sender = Sender::default();
    let mut random = Random(4);
    for _ in 0..20_000 {
        let [from, call_id, cseq, uri] = [(); 4].map(|()| text(&mut random, &pieces, 7));
        let uri = uri.replace([' ', '\r', '\n'], "");
        let headers = format!("From:{from}\r\nTo: <sip:b@b>\r\nCall-ID:{call_id}\r\nCSeq:{cseq}");
        let message = format!("INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1\r\n{headers}\r\n\r\n").into_bytes();
        let response = respond_to_frame(&sender.frame(&message), &template());
        assert!(check(&sender, &message, response), "{}", message.escape_ascii());
    }
}
