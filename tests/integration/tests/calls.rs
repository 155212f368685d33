//! Off, on, off: what happens to new calls, to calls that are up, and to everything else.

use std::time::Duration;

use anyhow::{Context as _, Result};
use filter_lab::lab::Lab;
use filter_lab::message::Message;
use filter_lab::wire::{Family, WireOptions};
use rstest::rstest;

/// Long enough for any answer to come that must not come.
const SILENCE: Duration = Duration::from_millis(200);

#[rstest]
#[case::ipv4_native(Family::V4, "native")]
#[case::ipv6_native(Family::V6, "native")]
#[case::ipv4_generic(Family::V4, "generic")]
#[case::ipv6_generic(Family::V6, "generic")]
fn new_calls_are_refused_while_on_and_only_then(#[case] family: Family, #[case] mode: &str) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start(mode)?;
    let caller = lab.caller(family)?;

    for _ in 0..3 {
        lab.goes_through(&caller)?;
        lab.filter.done(&["on"])?;
        lab.is_refused(&caller)?;
        lab.is_refused(&caller)?;
        lab.filter.done(&["off"])?;
    }
    lab.goes_through(&caller)?;
    Ok(())
}

#[rstest]
#[case::ipv4_native(Family::V4, "native")]
#[case::ipv6_native(Family::V6, "native")]
#[case::ipv4_generic(Family::V4, "generic")]
#[case::ipv6_generic(Family::V6, "generic")]
fn a_call_that_is_up_goes_on_and_ends_at_the_server(#[case] family: Family, #[case] mode: &str) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start(mode)?;
    let caller = lab.caller(family)?;
    let mut call = lab.goes_through(&caller)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;

    caller.reinvite(&mut call)?;
    caller.expect(&caller.within(&mut call, "UPDATE"), 200)?;
    caller.bye(&mut call)?;
    assert_eq!(lab.server.count("INVITE", &call.call_id), 2);
    assert_eq!(lab.server.count("BYE", &call.call_id), 1);
    Ok(())
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn other_methods_pass_while_on(#[case] family: Family) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(family)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;

    for method in ["OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH"] {
        let request = caller.request(method);
        caller.expect(&request, 200)?;
        assert_eq!(lab.server.count(method, request.header("Call-ID")), 1, "{method}");
    }
    Ok(())
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn a_refusal_is_what_rfc_3261_asks_for(#[case] family: Family) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(family)?;
    lab.filter.done(&["on"])?;

    let mut invite = caller.invite();
    // A second Via, as a request has that came through another proxy, and a name in the topmost one.
    let top = invite.header("Via").to_owned();
    invite.set("Via", &top.replace(&caller.local().to_string(), "pbx.example.com"));
    invite.headers.insert(1, ("Via".to_owned(), "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-first;x=1".to_owned()));
    let response = caller.expect(&invite, 503)?;

    assert_eq!(response.start_line, "SIP/2.0 503 Maintenance");
    let vias: Vec<_> = response.all("Via").collect();
    assert_eq!(vias.len(), 2, "{response}");
    assert!(vias[0].starts_with(invite.header("Via").trim_end_matches(";rport")), "{response}");
    let parameters: Vec<_> = vias[0].split(';').collect();
    assert!(parameters.contains(&format!("rport={}", caller.local().port()).as_str()), "{response}");
    assert!(parameters.contains(&format!("received={}", caller.local().ip()).as_str()), "{response}");
    assert_eq!(vias[1], "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-first;x=1");
    for name in ["From", "Call-ID", "CSeq"] {
        assert_eq!(response.header(name), Some(invite.header(name)));
    }
    let to = response.require("To")?;
    assert!(to.starts_with(invite.header("To")), "{response}");
    assert!(Message::tag(to).is_some_and(|tag| !tag.is_empty()), "{response}");
    assert_eq!(response.header("Content-Length"), Some("0"));
    let retry_after: u32 = response.require("Retry-After")?.parse().context("Retry-After in seconds")?;
    assert!((30..=36).contains(&retry_after), "{response}");
    assert!(response.bytes.ends_with(b"\r\n\r\n"), "{response}");
    Ok(())
}

#[test]
fn code_reason_and_retry_after_are_as_the_switch_says() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on", "--code", "480", "--reason", "Back at Noon", "--retry-after", "0", "--why", "test"])?;

    let response = caller.expect(&caller.invite(), 480)?;
    assert_eq!(response.start_line, "SIP/2.0 480 Back at Noon");
    assert_eq!(response.header("Retry-After"), None, "{response}");
    Ok(())
}

#[test]
fn a_retransmission_gets_the_same_refusal_and_another_call_another_tag() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;

    let invite = caller.invite();
    let tag = |response: &Message| response.header("To").and_then(Message::tag).map(str::to_owned);
    let first = tag(&caller.expect(&invite, 503)?);
    assert!(first.is_some());
    assert_eq!(tag(&caller.expect(&invite, 503)?), first);
    assert_ne!(tag(&caller.expect(&caller.invite(), 503)?), first);
    Ok(())
}

#[test]
fn one_datagram_brings_one_reply() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;

    caller.expect(&caller.invite(), 503)?;
    assert_eq!(caller.receive(SILENCE)?, None);
    Ok(())
}

#[test]
fn a_port_that_is_not_the_proxys_is_left_alone() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.filter.start(&["--iface", "nic0", "--port", "5070", "--port", "5080"])?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    lab.goes_through(&caller)?;

    // The same daemon does refuse on the ports that it was given, where nobody listens.
    for port in [5070, 5080] {
        let mut proxy = lab.proxy(Family::V4);
        proxy.set_port(port);
        let mut local = caller.local();
        local.set_port(0);
        let caller = filter_lab::caller::Caller::new(&lab.outside, local, proxy)?;
        caller.expect(&caller.invite(), 503).with_context(|| format!("port {port}"))?;
    }
    Ok(())
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn a_fragmented_invite_passes(#[case] family: Family) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(family)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;

    let mut invite = caller.invite();
    invite.pad_beyond(2500);
    caller.expect(&invite, 200)?;
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);
    assert!(lab.filter.stats()?.verdict("fragment")? >= 2);
    Ok(())
}

#[test]
fn on_a_jumbo_interface_calls_are_refused_unless_too_long() -> Result<()> {
    let lab = Lab::with(WireOptions { mtu: 9000, ..WireOptions::default() })?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;

    let mut invite = caller.invite();
    invite.pad_beyond(4500);
    caller.expect(&invite, 200)?;
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);
    assert_eq!(lab.filter.stats()?.verdict("too_long")?, 1);
    Ok(())
}
