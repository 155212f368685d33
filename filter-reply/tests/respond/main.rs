//! The packet path from frame to frame, as a SIP client and a network analyser see it.

#![cfg(test)]

mod corpus;
mod destination;
mod frames;
mod hostile;
mod identity;
mod refusals;
mod repeated;
mod response;
mod top_via;
mod well_formed;
mod wire;

use filter_reply::{Refusal, ResponseTemplate, TagSecret, Unanswered};

use response::Response;
use wire::{Capture, Sender};

/// Prefix of the To tags in these tests.
const PREFIX: &str = "sf0test.";

/// A Via without rport, whose sent-by is the address of [`Sender::default`].
const PLAIN_VIA: &str = "Via: SIP/2.0/UDP 198.18.0.1:5062;branch=z9hG4bK-1";

/// Returns the refusal with this status code, reason phrase and `Retry-After`.
#[track_caller]
fn refusal(code: u16, reason: &str, retry_after: u32) -> Refusal {
    Refusal {
        code: code.try_into().unwrap(),
        reason: reason.parse().unwrap(),
        retry_after: retry_after.try_into().unwrap(),
    }
}

fn secret(key: [u8; 16]) -> TagSecret {
    TagSecret::new(PREFIX.as_bytes().try_into().unwrap(), key).unwrap()
}

fn template() -> ResponseTemplate {
    template_for(&Refusal::default())
}

fn template_for(refusal: &Refusal) -> ResponseTemplate {
    ResponseTemplate::new(refusal, &secret([7; 16]))
}

/// Returns an INVITE with these header lines, given without the last line end, and a body.
fn invite(headers: &str) -> Vec<u8> {
    format!("INVITE sip:bob@198.18.0.2 SIP/2.0\r\n{headers}\r\n\r\nv=0\r\nTo: <sip:body@b>\r\n").into_bytes()
}

/// Returns an INVITE with this Via header.
fn invite_via(via: &str) -> Vec<u8> {
    invite(&format!(
        "{via}\r\nMax-Forwards: 70\r\nFrom: <sip:a@a>;tag=f\r\nTo: <sip:b@b>\r\nCall-ID: c@a\r\nCSeq: 1 INVITE"
    ))
}

/// Returns an INVITE with this To header.
fn invite_to(to: &str) -> Vec<u8> {
    invite(&format!("{PLAIN_VIA}\r\nFrom: <sip:a@a>;tag=f\r\n{to}\r\nCall-ID: c@a\r\nCSeq: 1 INVITE"))
}

/// Returns the frame of the response to the request in `frame`.
#[track_caller]
fn respond_to_frame(frame: &[u8], template: &ResponseTemplate) -> Result<Vec<u8>, Unanswered> {
    let mut out = vec![0xaa; frame.len() + 300];
    let response = filter_reply::respond(frame, 65_535, &mut out, template)?;
    assert!(out[response.len..].iter().all(|byte| *byte == 0xaa), "bytes written beyond the end of the frame");
    out.truncate(response.len);
    Ok(out)
}

/// Returns the packet that the default sender gets in response to `message`.
#[track_caller]
fn capture_response(message: &[u8]) -> Result<Capture, Unanswered> {
    respond_to_frame(&Sender::default().frame(message), &template()).map(|frame| Capture::parse(&frame))
}

/// Returns the response that the default sender gets to `message`. Panics if there is none.
#[track_caller]
fn respond(message: &[u8]) -> Response {
    match capture_response(message) {
        Ok(capture) => Response::parse(&capture.message),
        Err(reason) => panic!("no response ({}) to {}", reason.name(), message.escape_ascii()),
    }
}
