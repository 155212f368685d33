//! Properties of the responder on any frame: it does not panic, and writes a well-formed response to the request or
//! nothing.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a finding, and libFuzzer keeps its input"
)]
#![no_main]

use std::net::IpAddr;

use filter_common::maps::MAX_FRAME;
use filter_common::sip::{Decision, classify};
use filter_fuzz::guard::with_guarded_copy;
use filter_fuzz::input::Input;
use filter_reply::{MAX_GROWTH, Refusal, ResponseTemplate, TagSecret, Unanswered};
use libfuzzer_sys::fuzz_target;

use wire::{Capture, Sender};

#[path = "../../../filter-reply/tests/respond/response.rs"]
#[expect(dead_code, reason = "the responder's own tests use more of it")]
mod response;
#[path = "../../../filter-reply/tests/respond/well_formed.rs"]
mod well_formed;
#[path = "../../../filter-reply/tests/respond/wire.rs"]
mod wire;

/// Prefix of our To tags. The module `response` needs it.
const PREFIX: &str = "sf0test.";

fuzz_target!(|input: &[u8]| {
    match Input::parse(input) {
        Input::Message { shape, message } => response_to_a_message_is_well_formed(&sender(shape), message),
        Input::Edited { shape, edits, message } => {
            let mut frame = sender(shape).frame(message);
            for edit in edits {
                // The Ethernet, IP and UDP headers are within the first 128 bytes of nearly all frames.
                if let Some(byte) = frame.get_mut(usize::from(edit[0] & 0x7f)) {
                    *byte = edit[1];
                }
            }
            response_goes_back_to_the_source(&frame);
        }
        Input::Frame(frame) => response_goes_back_to_the_source(frame),
    }
});

/// Returns a sender of frames of this shape ([`Input::Message`]).
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

/// Returns the template of the responses.
fn template() -> ResponseTemplate {
    let prefix = PREFIX.as_bytes().try_into().expect("the prefix has eight bytes");
    let secret = TagSecret::new(prefix, [7; 16]).expect("a token");
    ResponseTemplate::new(&Refusal::default(), &secret)
}

/// Sends `message` in a well-formed frame, and checks the whole response.
fn response_to_a_message_is_well_formed(sender: &Sender, message: &[u8]) {
    // A longer message does not fit into the length fields of IP and UDP.
    let message = &message[..message.len().min(65_000)];
    let response = respond_twice(&sender.frame(message));
    // The XDP program redirects no other methods, whatever their headers.
    let request = classify(message).filter(|request| request.method.is_refusable());
    let decision = request.map(|request| request.decision);
    if decision == Some(Decision::InDialog) {
        assert!(response.is_err(), "response to a request within a dialog: {}", message.escape_ascii());
    }
    if let (Some(Decision::New), Err(reason)) = (decision, &response) {
        assert!(may_leave_unanswered(*reason, message), "{}: {}", reason.name(), message.escape_ascii());
    }
    // The check finds our tag by its prefix. The fuzzer soon learns to write the prefix into a message.
    if !message.windows(PREFIX.len()).any(|bytes| bytes == PREFIX.as_bytes()) {
        well_formed::check(sender, message, response);
    }
}

/// Returns whether a message that the kernel finds new may get no response, for `reason`.
fn may_leave_unanswered(reason: Unanswered, message: &[u8]) -> bool {
    match reason {
        Unanswered::NoVia | Unanswered::NoFrom | Unanswered::NoCallId | Unanswered::NoCseq => true,
        Unanswered::MalformedVia | Unanswered::Amplification => true,
        // The XDP program redirects no frames of this length.
        Unanswered::Scattered => message.len() > MAX_FRAME as usize,
        // Shorter than any request that conforms to RFC 2543.
        Unanswered::StartLine => message.len() < 73,
        _ => false,
    }
}

/// Sends any frame. The response must go back to its source, with correct lengths and checksums.
fn response_goes_back_to_the_source(frame: &[u8]) {
    let Ok(response) = respond_twice(frame) else { return };
    // Checks the lengths and checksums.
    let response = Capture::parse(&response);
    assert_eq!(response.macs.concat(), [&frame[6..12], &frame[..6]].concat(), "Ethernet addresses of the response");
    let link = 14 + 4 * response.tags.len();
    let packet = &frame[link..];
    let source: &[u8] = if packet[0] >> 4 == 4 { &packet[12..16] } else { &packet[8..24] };
    let destination: Vec<u8> = match response.destination.ip() {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    };
    assert_eq!(destination, source, "IP destination of the response (left) and source of the request (right)");
    assert!(response.message.len() <= frame.len() + MAX_GROWTH, "the response has {} bytes", response.message.len());
    assert!(response.message.starts_with(b"SIP/2.0 503 Maintenance\r\n"), "{}", response.message.escape_ascii());
}

/// Returns the frame with the response to `frame`.
///
/// Asserts that the responder writes the same response again into a buffer that is just long enough, and none into a
/// shorter one.
fn respond_twice(frame: &[u8]) -> Result<Vec<u8>, Unanswered> {
    let template = template();
    let respond = |out: &mut [u8]| {
        with_guarded_copy(frame, |frame| {
            filter_reply::respond(frame, 65_535, out, &template).map(|response| response.len)
        })
    };
    let mut out = vec![0xaa; frame.len() + MAX_GROWTH + 64];
    let len = respond(&mut out)?;
    assert!(out[len..].iter().all(|byte| *byte == 0xaa), "bytes written behind the response");
    out.truncate(len);
    let mut again = vec![0x55; len];
    assert_eq!(respond(&mut again), Ok(len), "second response, into a buffer of {len} bytes");
    assert_eq!(out, again, "first response (left) and second (right)");
    assert!(respond(&mut again[..len - 1]).is_err(), "a response of {len} bytes fits into {}", len - 1);
    Ok(out)
}
