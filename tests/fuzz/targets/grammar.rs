//! The grammar on any message: it decides without a panic, and what must not matter does not.

#![no_main]

use filter_common::sip::{Decision, MAX_LEADING_CRLF, Method, Request, SHORTEST_REQUEST, UserPart, classify};
use filter_fuzz::guard::at_the_edge;
use filter_fuzz::lines::Head;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    at_the_edge(octets, |message| {
        let request = classify(message);
        blank_lines_before_it_do_not_matter(message, request);
        let Some(request) = request else { return };
        let Some(head) = Head::of(message) else {
            assert_ne!(request.decision, Decision::New, "new, but its headers have no end");
            return;
        };
        the_body_does_not_matter(message, &head);
        other_headers_do_not_matter(message, &head);
        line_ends_do_not_matter(message, &head);
        match request.decision {
            Decision::New => only_the_to_tag_is_missing(message, &head),
            Decision::InDialog => the_tag_is_where_it_says(message, request),
            _ => {}
        }
    });
});

/// What matters of the decision on `message`: the user part only if there is no other reason to pass, and not where the
/// tag is, since that moves.
fn known(message: &[u8]) -> Option<(Method, Decision, Option<UserPart>)> {
    let Request { method, decision, user, .. } = classify(message)?;
    Some((method, decision, (decision == Decision::New).then_some(user)))
}

/// Asserts that `variant`, made from `message` by what `change` says, is decided as `message` is.
///
/// Shorter ones are no requests, whatever they say; no request that is one is as short.
fn assert_alike(message: &[u8], variant: &[u8], change: &str) {
    let is_blank = |octet: &&u8| matches!(octet, b'\r' | b'\n');
    if variant.iter().skip_while(is_blank).count() < SHORTEST_REQUEST as usize {
        return;
    }
    let (before, after) = (known(message), known(variant));
    assert_eq!(before, after, "{change}:\n{}\n{}", message.escape_ascii(), variant.escape_ascii());
}

fn blank_lines_before_it_do_not_matter(message: &[u8], request: Option<Request>) {
    let blank = message.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
    if blank + 2 <= MAX_LEADING_CRLF as usize {
        let variant = [b"\r\n", message].concat();
        assert_alike(message, &variant, "CRLF before it");
        if let (Some(before), Some(after)) = (request, classify(&variant))
            && before.decision == Decision::InDialog
        {
            assert_eq!(before.tag + 2, after.tag, "where the tag is: {}", message.escape_ascii());
        }
    }
}

fn the_body_does_not_matter(message: &[u8], head: &Head) {
    let bare = &message[..head.end];
    assert_alike(message, bare, "no body");
    for body in ["\r\n", "To: <sip:x@y>;tag=1\r\n\r\n", " ;tag=1\r\n\r\n", "Replaces: x\r\n\r\n", "\0"] {
        assert_alike(message, &[bare, body.as_bytes()].concat(), "another body");
    }
}

fn other_headers_do_not_matter(message: &[u8], head: &Head) {
    // A continuation would go on with the header that is put before it.
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
        assert_alike(message, &[start, header.as_bytes(), rest].concat(), header);
    }
}

fn line_ends_do_not_matter(message: &[u8], head: &Head) {
    let lines = &message[head.start..head.end];
    let newlines = lines.iter().filter(|octet| **octet == b'\n').count();
    let returns = lines.iter().filter(|octet| **octet == b'\r').count();
    let pairs = lines.windows(2).filter(|two| two == b"\r\n").count();
    if newlines == pairs && returns == pairs {
        let bare: Vec<u8> = lines.iter().copied().filter(|octet| *octet != b'\r').collect();
        assert_alike(lines, &bare, "LF for CRLF");
    }
}

/// A new request has one To header, which would have a tag if one were put there, and does not get one by anything else.
fn only_the_to_tag_is_missing(message: &[u8], head: &Head) {
    let values = head.to_values(message);
    let [value] = values.as_slice() else {
        panic!("{} To headers: {}", values.len(), message.escape_ascii());
    };
    let with = |parameter: &str, expected: Decision| {
        let variant = [&message[..value.end], parameter.as_bytes(), &message[value.end..]].concat();
        let decision = classify(&variant).map(|request| request.decision);
        assert_eq!(decision, Some(expected), "with {parameter}: {}", variant.escape_ascii());
    };
    for tag in [";tag=x", " ;\tTAG =\r\n x", ";Tag=\"x\"", ";tag=;tag=x", ";a=\"\\\"\";tag=x;b"] {
        with(tag, Decision::InDialog);
    }
    for none in [";tags=x", ";tag", ";a=\";tag=1\"", ";xtag=1", ";tag=\"\""] {
        with(none, Decision::New);
    }
    with("\r\nTo: <sip:x@y>", Decision::Undecided);
}

fn the_tag_is_where_it_says(message: &[u8], request: Request) {
    let tag = message.get(request.tag as usize).copied();
    let begins_a_tag = |octet: u8| !matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'"' | 0);
    assert!(tag.is_some_and(begins_a_tag), "the tag at {}: {}", request.tag, message.escape_ascii());
}
