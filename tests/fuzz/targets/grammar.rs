//! Properties of the grammar on any message: it does not panic, and its decision depends only on the relevant headers.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a panic is a finding, and libFuzzer keeps its input")]
#![no_main]

use filter_common::sip::{Decision, MAX_LEADING_CRLF, Method, Request, SHORTEST_REQUEST, UserPart, classify};
use filter_fuzz::guard::with_guarded_copy;
use filter_fuzz::head::Head;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    with_guarded_copy(input, |message| {
        let request = classify(message);
        leading_blank_lines_do_not_matter(message, request);
        let Some(request) = request else { return };
        let Some(head) = Head::find(message) else {
            assert_ne!(
                request.decision,
                Decision::New,
                "new without an end of the headers: {}",
                message.escape_ascii()
            );
            return;
        };
        the_body_does_not_matter(message, &head);
        other_headers_do_not_matter(message, &head);
        line_ends_do_not_matter(message, &head);
        match request.decision {
            Decision::New => only_the_to_tag_is_missing(message, &head),
            Decision::InDialog => the_tag_offset_points_to_a_tag(message, request),
            _ => {}
        }
    });
});

/// Returns the parts of the reading of `message` that must be the same for its variants.
///
/// The user part is one of them only if nothing else exempts the request. The offset of the tag changes with the
/// variant.
fn comparable(message: &[u8]) -> Option<(Method, Decision, Option<UserPart>)> {
    let Request { method, decision, user, .. } = classify(message)?;
    Some((method, decision, (decision == Decision::New).then_some(user)))
}

/// Asserts that `message` and `variant`, which differs from it by `change`, get the same decision.
///
/// Variants shorter than [`SHORTEST_REQUEST`] are not requests, whatever they contain, and are skipped.
fn assert_same_decision(message: &[u8], variant: &[u8], change: &str) {
    let is_blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    if variant.iter().skip_while(is_blank).count() < SHORTEST_REQUEST as usize {
        return;
    }
    let (before, after) = (comparable(message), comparable(variant));
    assert_eq!(before, after, "{change}:\n{}\n{}", message.escape_ascii(), variant.escape_ascii());
}

fn leading_blank_lines_do_not_matter(message: &[u8], request: Option<Request>) {
    let blank = message.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if blank + 2 <= MAX_LEADING_CRLF as usize {
        let variant = [b"\r\n", message].concat();
        assert_same_decision(message, &variant, "CRLF before the message");
        if let (Some(before), Some(after)) = (request, classify(&variant))
            && before.decision == Decision::InDialog
        {
            assert_eq!(before.tag + 2, after.tag, "offset of the tag after a CRLF: {}", message.escape_ascii());
        }
    }
}

fn the_body_does_not_matter(message: &[u8], head: &Head) {
    let head = &message[..head.end];
    assert_same_decision(message, head, "no body");
    for body in ["\r\n", "To: <sip:x@y>;tag=1\r\n\r\n", " ;tag=1\r\n\r\n", "Replaces: x\r\n\r\n", "\0"] {
        assert_same_decision(message, &[head, body.as_bytes()].concat(), "another body");
    }
}

fn other_headers_do_not_matter(message: &[u8], head: &Head) {
    // A continuation line would become part of the inserted header.
    if matches!(message[head.headers], b' ' | b'\t') {
        return;
    }
    let (start, rest) = message.split_at(head.headers);
    let headers = [
        "X-To: <sip:x@y>;tag=1\r\n",
        "Subject: To: <sip:x@y>;tag=1\r\n\tTo: <sip:x@y>;tag=1\r\n",
        "Tag: 1\n",
        "P: emergency\r\n",
        "Toto:;tag=1\r\n",
    ];
    for header in headers {
        assert_same_decision(message, &[start, header.as_bytes(), rest].concat(), header);
    }
}

#[expect(clippy::naive_bytecount, reason = "inputs are too short for the crate `bytecount` to pay off")]
fn line_ends_do_not_matter(message: &[u8], head: &Head) {
    let head = &message[head.start..head.end];
    let newlines = head.iter().filter(|byte| **byte == b'\n').count();
    let returns = head.iter().filter(|byte| **byte == b'\r').count();
    let pairs = head.windows(2).filter(|two| two == b"\r\n").count();
    if newlines == pairs && returns == pairs {
        let bare: Vec<u8> = head.iter().copied().filter(|byte| *byte != b'\r').collect();
        assert_same_decision(head, &bare, "LF for CRLF");
    }
}

/// Asserts that a new request has one To header, that a tag inserted into it makes the request in-dialog, and that
/// nothing else does.
fn only_the_to_tag_is_missing(message: &[u8], head: &Head) {
    let values = head.to_values(message);
    let [value] = values.as_slice() else {
        panic!("new with {} To headers: {}", values.len(), message.escape_ascii());
    };
    let assert_with = |suffix: &str, expected: Decision| {
        let variant = [&message[..value.end], suffix.as_bytes(), &message[value.end..]].concat();
        let decision = classify(&variant).map(|request| request.decision);
        assert_eq!(decision, Some(expected), "with {suffix:?} after To: {}", variant.escape_ascii());
    };
    for tag in [";tag=x", " ;\tTAG =\r\n x", ";Tag=\"x\"", ";tag=;tag=x", ";a=\"\\\"\";tag=x;b"] {
        assert_with(tag, Decision::InDialog);
    }
    for no_tag in [";tags=x", ";tag", ";a=\";tag=1\"", ";xtag=1", ";tag=\"\""] {
        assert_with(no_tag, Decision::New);
    }
    assert_with("\r\nTo: <sip:x@y>", Decision::Undecided);
}

fn the_tag_offset_points_to_a_tag(message: &[u8], request: Request) {
    let tag = message.get(request.tag as usize).copied();
    let begins_a_tag = |byte: u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'"' | 0);
    assert!(tag.is_some_and(begins_a_tag), "no tag at offset {}: {}", request.tag, message.escape_ascii());
}
