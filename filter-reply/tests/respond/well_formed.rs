//! Whether a reply is a well-formed response to its request, judged without the responder's code.
//!
//! The fuzz target `tests/fuzz/targets/responder.rs` shares it.

use filter_reply::Unanswered;

use crate::response::Response;
use crate::wire::{Capture, Sender};

/// Asserts that `reply`, if there is one, is a well-formed response to `message` and goes to the sender.
pub(crate) fn check(sender: &Sender, message: &[u8], reply: Result<Vec<u8>, Unanswered>) -> bool {
    let Ok(frame) = reply else { return false };
    let reply = Capture::read(&frame);
    assert_eq!((reply.source, reply.destination.ip()), (sender.destination, sender.source.ip()));
    assert_ne!(reply.destination.port(), 0);
    assert!(reply.message.len() <= message.len() + 200);
    check_message(message, &reply.message);
    true
}

fn check_message(request: &[u8], reply: &[u8]) {
    let skipped = request.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
    // A header without a colon that the response has no use for may be anything: only those repeated are compared.
    let request = Response::read_leniently(&request[skipped..]);
    let response = Response::read(reply);
    let context = || reply.escape_ascii().to_string();

    assert_eq!(response.start_line, b"SIP/2.0 503 Maintenance\r\n");
    assert_eq!(response.body, b"");
    for name in ["from", "call-id", "cseq"] {
        assert_eq!(response.lines(name), request.lines(name), "{}", context());
    }
    let (vias, original) = (response.lines("via"), request.lines("via"));
    assert_eq!(vias[1..], original[1..], "{}", context());
    assert_contains_in_order(vias[0], original[0]);
    assert_contains_in_order(response.lines("to")[0], request.lines("to")[0]);
    let to = response.to().to_ascii_lowercase().replace([' ', '\t', '\r', '\n'], "");
    assert_eq!(to.matches(";tag=tag").count(), 1, "{}", context());
    let names = ["via", "from", "to", "call-id", "cseq"];
    let own: Vec<&str> =
        response.headers.iter().map(|header| &*header.name).filter(|name| !names.contains(name)).collect();
    assert_eq!(own, ["retry-after", "content-length"], "{}", context());
}

/// Asserts that `edited` is `original` with one or two places changed: the same beginning, the same end.
fn assert_contains_in_order(edited: &[u8], original: &[u8]) {
    let common = edited.iter().zip(original).take_while(|(a, b)| a == b).count();
    let tail = edited.iter().rev().zip(original.iter().rev()).take_while(|(a, b)| a == b).count();
    assert!(common >= 4 && tail >= 1, "{} of {}", edited.escape_ascii(), original.escape_ascii());
}
