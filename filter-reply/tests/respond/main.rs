//! The responder's packet path, frame in and frame out, as a SIP client and a network analyser see it.

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

use filter_reply::{Refusal, ReplyTemplate, TagSecret, Unanswered};

use response::Response;
use wire::{Capture, Sender};

/// How the tags of these tests begin.
const PREFIX: &str = "sf0test.";

/// An INVITE of the usual kind: no rport, and sent-by is the address that [`Sender::default`] has.
const PLAIN_VIA: &str = "Via: SIP/2.0/UDP 198.18.0.1:5062;branch=z9hG4bK-1";

/// The refusal with this status code, reason phrase and `Retry-After`.
#[track_caller]
fn refusal(code: u16, reason: &str, retry_after: u32) -> Refusal {
    Refusal {
        code: code.try_into().unwrap(),
        reason: reason.parse().unwrap(),
        retry_after: retry_after.try_into().unwrap(),
    }
}

fn template() -> ReplyTemplate {
    template_of(&Refusal::default())
}

fn template_of(refusal: &Refusal) -> ReplyTemplate {
    let prefix = PREFIX.as_bytes().try_into().expect("eight octets");
    ReplyTemplate::new(refusal, &TagSecret { prefix, key: [7; 16] }).expect("a template")
}

/// An INVITE with these header lines, the end of the last one not included, and a body.
fn invite(headers: &str) -> Vec<u8> {
    format!("INVITE sip:bob@198.18.0.2 SIP/2.0\r\n{headers}\r\n\r\nv=0\r\nTo: <sip:body@b>\r\n").into_bytes()
}

/// An INVITE with this Via header.
fn invite_via(via: &str) -> Vec<u8> {
    invite(&format!(
        "{via}\r\nMax-Forwards: 70\r\nFrom: <sip:a@a>;tag=f\r\nTo: <sip:b@b>\r\nCall-ID: c@a\r\nCSeq: 1 INVITE"
    ))
}

/// An INVITE with this To header.
fn invite_to(to: &str) -> Vec<u8> {
    invite(&format!("{PLAIN_VIA}\r\nFrom: <sip:a@a>;tag=f\r\n{to}\r\nCall-ID: c@a\r\nCSeq: 1 INVITE"))
}

/// The frame that answers `frame`.
fn answer_frame(frame: &[u8], template: &ReplyTemplate) -> Result<Vec<u8>, Unanswered> {
    let mut out = vec![0xaa; frame.len() + 300];
    let answer = filter_reply::answer(frame, 65_535, &mut out, template)?;
    assert!(out[answer.len..].iter().all(|octet| *octet == 0xaa), "nothing is written behind the frame");
    out.truncate(answer.len);
    Ok(out)
}

/// What the default sender gets for `message`: the packet, taken apart by code that shares nothing with the responder.
fn answer(message: &[u8]) -> Result<Capture, Unanswered> {
    answer_frame(&Sender::default().frame(message), &template()).map(|frame| Capture::read(&frame))
}

/// The response that the default sender gets for `message`.
fn respond(message: &[u8]) -> Response {
    let reply = answer(message).unwrap_or_else(|refused| panic!("{}: {}", refused.name(), message.escape_ascii()));
    Response::read(&reply.message)
}
