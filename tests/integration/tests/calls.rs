//! Off, on, off: new calls, established calls, and everything else.
#![cfg(test)]

use filter_common::verdict::Verdict;
use filter_lab::caller::Caller;
use filter_lab::lab::Lab;
use filter_lab::message::Message;
use filter_lab::wire::{Family, PROXY_INTERFACE, WireOptions};
use rstest::rstest;

#[rstest]
#[case::ipv4_native(Family::V4, "native")]
#[case::ipv6_native(Family::V6, "native")]
#[case::ipv4_generic(Family::V4, "generic")]
#[case::ipv6_generic(Family::V6, "generic")]
fn new_calls_are_refused_only_while_on(#[case] family: Family, #[case] mode: &str) {
    let lab = Lab::new();
    let _daemon = lab.start(mode);
    let caller = lab.caller(family);

    for _ in 0..3 {
        lab.expect_call_accepted(&caller);
        lab.filter.run(&["on"]);
        lab.expect_call_refused(&caller);
        lab.expect_call_refused(&caller);
        lab.filter.run(&["off"]);
    }
    lab.expect_call_accepted(&caller);
}

#[rstest]
#[case::ipv4_native(Family::V4, "native")]
#[case::ipv6_native(Family::V6, "native")]
#[case::ipv4_generic(Family::V4, "generic")]
#[case::ipv6_generic(Family::V6, "generic")]
fn established_call_continues_and_ends_at_the_server(#[case] family: Family, #[case] mode: &str) {
    let lab = Lab::new();
    let _daemon = lab.start(mode);
    let caller = lab.caller(family);
    let mut call = lab.expect_call_accepted(&caller);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);

    caller.reinvite(&mut call);
    caller.expect(&caller.request_within(&mut call, "UPDATE"), 200);
    caller.bye(&mut call);
    assert_eq!(lab.server.count("INVITE", &call.call_id), 2);
    assert_eq!(lab.server.count("BYE", &call.call_id), 1);
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn methods_other_than_invite_pass_while_on(#[case] family: Family) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(family);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);

    for method in ["OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH"] {
        let request = caller.request(method);
        caller.expect(&request, 200);
        assert_eq!(lab.server.count(method, request.header("Call-ID")), 1, "{method}");
    }
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn the_503_has_the_headers_that_rfc_3261_requires(#[case] family: Family) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(family);
    lab.filter.run(&["on"]);

    let mut invite = caller.invite();
    // A second Via, as in a request that came through another proxy, and a name in the topmost one.
    let top = invite.header("Via").to_owned();
    invite.set("Via", &top.replace(&caller.local().to_string(), "pbx.example.com"));
    invite.headers.insert(1, ("Via".to_owned(), "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-first;x=1".to_owned()));
    let response = caller.expect(&invite, 503);

    assert_eq!(response.start_line, "SIP/2.0 503 Maintenance");
    let vias: Vec<_> = response.header_all("Via").collect();
    assert_eq!(vias.len(), 2, "{response}");
    assert!(vias[0].starts_with(invite.header("Via").trim_end_matches(";rport")), "{response}");
    let parameters: Vec<_> = vias[0].split(';').collect();
    assert!(parameters.contains(&format!("rport={}", caller.local().port()).as_str()), "{response}");
    assert!(parameters.contains(&format!("received={}", caller.local().ip()).as_str()), "{response}");
    assert_eq!(vias[1], "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-first;x=1");
    for name in ["From", "Call-ID", "CSeq"] {
        assert_eq!(response.header(name), Some(invite.header(name)));
    }
    let to = response.require("To");
    assert!(to.starts_with(invite.header("To")), "{response}");
    assert!(Message::tag(to).is_some_and(|tag| !tag.is_empty()), "{response}");
    assert_eq!(response.header("Content-Length"), Some("0"));
    let retry_after: u32 = response.require("Retry-After").parse().expect("a number of seconds in Retry-After");
    assert!((30..=36).contains(&retry_after), "{response}");
    assert!(response.bytes.ends_with(b"\r\n\r\n"), "{response}");
}

#[test]
fn response_has_the_code_reason_and_retry_after_given_to_on() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on", "--code", "480", "--reason", "Back at Noon", "--retry-after", "0", "--why", "test"]);

    let response = caller.expect(&caller.invite(), 480);
    assert_eq!(response.start_line, "SIP/2.0 480 Back at Noon");
    assert_eq!(response.header("Retry-After"), None, "{response}");
}

#[test]
fn retransmission_gets_the_same_to_tag_and_another_call_another_one() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);

    let invite = caller.invite();
    let tag = |response: &Message| response.header("To").and_then(Message::tag).map(str::to_owned);
    let first = tag(&caller.expect(&invite, 503));
    assert!(first.is_some());
    assert_eq!(tag(&caller.expect(&invite, 503)), first);
    assert_ne!(tag(&caller.expect(&caller.invite(), 503)), first);
}

#[test]
fn one_invite_gets_one_response() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);

    caller.expect(&caller.invite(), 503);
    assert_eq!(caller.drain(), []);
    assert_eq!(lab.filter.stats().answered(), 1);
}

#[test]
fn calls_to_a_port_without_the_filter_pass() {
    let lab = Lab::new();
    let _daemon = lab.filter.start(&["--iface", PROXY_INTERFACE, "--port", "5070", "--port", "5080"]);
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    lab.expect_call_accepted(&caller);

    // On the ports that were given to it, where nothing listens, the same daemon refuses calls.
    for port in [5070, 5080] {
        let mut proxy = lab.proxy(Family::V4);
        proxy.set_port(port);
        let mut local = caller.local();
        local.set_port(0);
        let caller = Caller::new(&lab.outside, local, proxy);
        caller.expect(&caller.invite(), 503);
    }
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn fragmented_invite_passes(#[case] family: Family) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(family);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);

    let mut invite = caller.invite();
    invite.pad_beyond(2500);
    caller.expect(&invite, 200);
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);
    assert!(lab.filter.stats().verdict(Verdict::Fragment) >= 2);
}

#[test]
fn too_long_invite_on_a_jumbo_interface_passes() {
    let lab = Lab::with_wire(WireOptions { mtu: 9000, ..WireOptions::default() });
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);

    let mut invite = caller.invite();
    invite.pad_beyond(4500);
    caller.expect(&invite, 200);
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);
    assert_eq!(lab.filter.stats().verdict(Verdict::TooLong), 1);
}
