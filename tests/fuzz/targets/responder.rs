//! The responder on any frame: no panic, and what goes out is a well-formed response to what came in, or nothing.

#![no_main]

use filter_common::sip::{Decision, classify};
use filter_fuzz::guard::at_the_edge;
use filter_fuzz::input::Input;
use filter_reply::{MAX_GROWTH, Refusal, ResponseTemplate, TagSecret, Unanswered};
use libfuzzer_sys::fuzz_target;

use wire::{Capture, Sender};

#[path = "../../../filter-reply/tests/respond/response.rs"]
#[expect(dead_code, reason = "the responder's own tests look at more of it")]
mod response;
#[path = "../../../filter-reply/tests/respond/well_formed.rs"]
mod well_formed;
#[path = "../../../filter-reply/tests/respond/wire.rs"]
mod wire;

/// How our tags begin, for `response`.
const PREFIX: &str = "sf0test.";

fuzz_target!(|octets: &[u8]| {
    match Input::of(octets) {
        Input::Message { shape, message } => one_message(&sender(shape), message),
        Input::Edited { shape, edits, message } => {
            let mut frame = sender(shape).frame(message);
            for edit in edits {
                // Nearly all headers are within the first 128 octets.
                if let Some(octet) = frame.get_mut(usize::from(edit[0] & 0x7f)) {
                    *octet = edit[1];
                }
            }
            one_frame(&frame);
        }
        Input::Frame(frame) => one_frame(frame),
    }
});

/// The sender that the bits of `shape` make.
fn sender(shape: u8) -> Sender {
    let bit = |bit: u8| shape & bit != 0;
    let mut sender = if bit(1) { Sender::ipv6() } else { Sender::default() };
    if bit(2) {
        sender.tags = vec![(0x88a8, 0x2005), (0x8100, 0x6064)];
    }
    if bit(4) {
        sender.options = vec![1; 8];
        sender.extensions = vec![(0, vec![0; 8]), (60, vec![0; 8])];
        sender.padding = 7;
    }
    sender
}

fn template() -> ResponseTemplate {
    let prefix = PREFIX.as_bytes().try_into().expect("eight octets");
    let secret = TagSecret::new(prefix, [7; 16]).expect("a token");
    ResponseTemplate::new(&Refusal::default(), &secret)
}

/// A message in a frame as it should be: all of the reply is compared with it.
fn one_message(sender: &Sender, message: &[u8]) {
    // The length fields of IP and UDP hold no more.
    let message = &message[..message.len().min(65_000)];
    let reply = answer(&sender.frame(message));
    let decision = classify(message).map(|request| request.decision);
    if decision == Some(Decision::InDialog) {
        assert!(reply.is_err(), "a call that is up gets a response: {}", message.escape_ascii());
    }
    if reply == Err(Unanswered::InDialog) {
        assert_ne!(decision, Some(Decision::New), "new for the kernel only: {}", message.escape_ascii());
    }
    // Where the message itself spells our tag, which the fuzzer soon learns, the check could not tell whose is whose.
    if !message.windows(PREFIX.len()).any(|octets| octets == PREFIX.as_bytes()) {
        well_formed::check(sender, message, reply);
    }
}

/// Any frame: the reply goes back where it came from, its lengths and checksums right.
fn one_frame(frame: &[u8]) {
    let Ok(reply) = answer(frame) else { return };
    let reply = Capture::parse(&reply);
    assert_eq!(reply.macs.concat(), [&frame[6..12], &frame[..6]].concat(), "Ethernet addresses");
    let link = 14 + 4 * reply.tags.len();
    let packet = &frame[link..];
    let source: &[u8] = if packet[0] >> 4 == 4 { &packet[12..16] } else { &packet[8..24] };
    let destination: Vec<u8> = match reply.destination.ip() {
        std::net::IpAddr::V4(address) => address.octets().into(),
        std::net::IpAddr::V6(address) => address.octets().into(),
    };
    assert_eq!(destination, source, "a response to a third party");
    assert!(reply.message.len() <= frame.len() + MAX_GROWTH, "amplification");
    assert!(reply.message.starts_with(b"SIP/2.0 503 Maintenance\r\n"));
}

/// The frame that answers `frame`, asked for twice, with memory that is as short as it may be.
fn answer(frame: &[u8]) -> Result<Vec<u8>, Unanswered> {
    let template = template();
    let ask = |out: &mut [u8]| {
        at_the_edge(frame, |frame| filter_reply::respond(frame, 65_535, out, &template).map(|response| response.len))
    };
    let mut out = vec![0xaa; frame.len() + MAX_GROWTH + 64];
    let len = ask(&mut out)?;
    assert!(out[len..].iter().all(|octet| *octet == 0xaa), "it writes behind the frame");
    out.truncate(len);
    let mut again = vec![0x55; len];
    assert_eq!(ask(&mut again), Ok(len), "the second time, with room for just that");
    assert_eq!(out, again, "not the same twice");
    assert!(ask(&mut again[..len - 1]).is_err(), "a frame in too little room");
    Ok(out)
}
