//! `--force-rport`: a response goes to the source port whatever the Via says, as after Kamailio's `force_rport()`.
#![cfg(test)]

use std::fs;

use filter_integration::raw::{CALLER_PORT, Fate, Rig, SILENCE, TIMEOUT, header_lines};
use filter_lab::wire::{End, Family, PROXY_INTERFACE};
use rstest::rstest;

/// Returns an INVITE with this Via.
fn invite(via: &str) -> Vec<u8> {
    format!(
        "INVITE sip:bob@198.18.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@198.18.0.1>;tag=f\r\nTo: <sip:bob@198.18.0.2>\r\nCall-ID: {via}\r\nCSeq: 1 INVITE\r\n\
         User-Agent: {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(100)
    )
    .into_bytes()
}

/// Asserts the port and the Via of the response to an INVITE with `via`.
#[track_caller]
fn assert_answered(rig: &Rig, via: &str, port: u16, expected: &str) {
    let Fate::Answered(response) = rig.send(via, &invite(via), TIMEOUT) else { panic!("{via}: no response") };
    assert_eq!(response.destination, (End::Caller.address(Family::V4), port).into(), "{via}");
    let line = format!("Via: SIP/2.0/UDP {expected}").into_bytes();
    assert_eq!(header_lines(&response.payload, "Via", "v"), [line], "{via}");
    assert_eq!(rig.response(SILENCE), None, "{via}: a second response");
}

#[rstest]
#[case::by_a_flag(&["--force-rport"], "")]
#[case::by_the_file(&[], "[run]\nforce-rport = true\n")]
fn response_goes_to_the_source_port_with_force_rport(#[case] flags: &[&str], #[case] file: &str) {
    let rig = Rig::new();
    fs::write(rig.lab.filter.config(), file).unwrap();
    let _daemon = rig.lab.filter.start(&[&["--iface", PROXY_INTERFACE][..], flags].concat());
    rig.lab.filter.run(&["on"]);
    assert_answered(
        &rig,
        "198.18.0.1:5070;branch=z9hG4bK-1",
        CALLER_PORT,
        "198.18.0.1:5070;branch=z9hG4bK-1;rport=5062",
    );
    assert_answered(
        &rig,
        "192.0.2.1:5070;branch=z9hG4bK-2",
        CALLER_PORT,
        "192.0.2.1:5070;branch=z9hG4bK-2;rport=5062;received=198.18.0.1",
    );
    // As without the option.
    assert_answered(
        &rig,
        "192.0.2.1:5070;rport;branch=z9hG4bK-3",
        CALLER_PORT,
        "192.0.2.1:5070;rport=5062;branch=z9hG4bK-3;received=198.18.0.1",
    );
}

#[test]
fn response_goes_to_the_port_of_the_via_without_force_rport() {
    let rig = Rig::new();
    let _daemon = rig.lab.start("native");
    rig.lab.filter.run(&["on"]);
    assert_answered(&rig, "198.18.0.1:5070;branch=z9hG4bK-1", 5070, "198.18.0.1:5070;branch=z9hG4bK-1");
}
