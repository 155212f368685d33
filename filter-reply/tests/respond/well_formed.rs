//! A check that a frame is a well-formed response to its request, independent of the code under test.
//!
//! The fuzz target `tests/fuzz/targets/responder.rs` uses it too.

use filter_reply::Unanswered;

use crate::response::Response;
use crate::wire::{Capture, Sender};

/// Asserts that the frame, if there is one, is a well-formed response to `message` and goes to the sender.
///
/// Returns whether there is one.
#[track_caller]
pub(crate) fn check(sender: &Sender, message: &[u8], frame: Result<Vec<u8>, Unanswered>) -> bool {
    let Ok(frame) = frame else { return false };
    let response = Capture::parse(&frame);
    assert_eq!((response.source, response.destination.ip()), (sender.destination, sender.source.ip()));
    assert_ne!(response.destination.port(), 0);
    assert!(response.message.len() <= message.len() + 200);
    check_message(message, &response.message);
    true
}

#[track_caller]
fn check_message(request: &[u8], message: &[u8]) {
    let skipped = request.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    // Leniently, because a header that is not repeated may be malformed.
    let request = Response::parse_leniently(&request[skipped..]);
    let response = Response::parse(message);
    let context = || message.escape_ascii().to_string();

    assert_eq!(response.start_line, b"SIP/2.0 503 Maintenance\r\n");
    assert_eq!(response.body, b"");
    for name in ["from", "call-id", "cseq"] {
        assert_eq!(response.lines(name), request.lines(name), "{}", context());
    }
    let (vias, original) = (response.lines("via"), request.lines("via"));
    assert_eq!(vias[1..], original[1..], "{}", context());
    assert_same_ends(vias[0], original[0]);
    assert_same_ends(response.lines("to")[0], request.lines("to")[0]);
    let to = response.to().to_ascii_lowercase().replace([' ', '\t', '\r', '\n'], "");
    assert_eq!(to.matches(";tag=tag").count(), 1, "{}", context());
    let names = ["via", "from", "to", "call-id", "cseq"];
    let own: Vec<&str> =
        response.headers.iter().map(|header| &*header.name).filter(|name| !names.contains(name)).collect();
    assert_eq!(own, ["retry-after", "content-length"], "{}", context());
}

/// Asserts that `edited` has the beginning and the end of `original`.
#[track_caller]
fn assert_same_ends(edited: &[u8], original: &[u8]) {
    let common = edited.iter().zip(original).take_while(|(a, b)| a == b).count();
    let tail = edited.iter().rev().zip(original.iter().rev()).take_while(|(a, b)| a == b).count();
    assert!(common >= 4 && tail >= 1, "{} of {}", edited.escape_ascii(), original.escape_ascii());
}
