//! Frames that no socket would send, and the responses to them: VLAN tags, IP options, extension headers, padding.
#![cfg(test)]

use std::net::SocketAddr;
use std::time::Duration;

use filter_common::verdict::Verdict;
use filter_lab::daemon::Daemon;
use filter_lab::frame::{DOT1AD, DOT1Q, Frame, Tag};
use filter_lab::lab::Lab;
use filter_lab::message::Message;
use filter_lab::packet::Packet;
use filter_lab::packet_socket::PacketSocket;
use filter_lab::request::Request;
use filter_lab::wire::{End, Family, PROXY_INTERFACE};
use rstest::rstest;

/// Source port of the frames.
const CALLER_PORT: u16 = 5062;

/// Time within which a response must come.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Creates a frame from the caller to the proxy with a new INVITE, and returns the INVITE too.
fn invite_frame(lab: &Lab, family: Family) -> (Frame, Request) {
    let (source, destination) = (SocketAddr::new(End::Caller.address(family), CALLER_PORT), lab.proxy(family));
    let invite = Request::invite(source, destination);
    let frame = Frame {
        source_mac: End::Caller.mac(),
        destination_mac: End::Proxy.mac(),
        tags: Vec::new(),
        ipv4_options: Vec::new(),
        ipv6_extensions: Vec::new(),
        source,
        destination,
        payload: invite.to_bytes(),
        padding: 0,
    };
    (frame, invite)
}

/// Returns the next packet to the caller, with its SIP message.
#[track_caller]
fn receive(socket: &PacketSocket) -> (Packet, Message) {
    let is_to_caller = |packet: &Packet| {
        packet.destination.ip() == End::Caller.address(Family::V4)
            || packet.destination.ip() == End::Caller.address(Family::V6)
    };
    let packet = socket.receive_packet(RESPONSE_TIMEOUT, is_to_caller).expect("a response to the frame");
    let message = Message::parse(&packet.payload).expect("a SIP message");
    (packet, message)
}

/// Sends `frame`. Asserts that a 503 comes back that mirrors the frame in all its addresses.
#[track_caller]
fn assert_refused(lab: &Lab, frame: &Frame, invite: &Request) {
    let socket = lab.packet_socket();
    socket.send(&frame.to_bytes());
    let (packet, response) = receive(&socket);
    assert_eq!((packet.source_mac, packet.destination_mac), (frame.destination_mac, frame.source_mac));
    assert_eq!((packet.source, packet.destination), (frame.destination, frame.source));
    assert_eq!(packet.tags, frame.tags);
    assert_eq!(response.status(), Some(503), "{response}");
    assert_eq!(response.header("Call-ID"), Some(invite.header("Call-ID")));
    assert!(!lab.server.has_seen(invite.header("Call-ID")));
}

/// Sends `frame`. Asserts that it gets no response: the response to a frame that is sent after it is the first one.
#[track_caller]
fn assert_no_response(lab: &Lab, frame: &Frame) {
    let socket = lab.packet_socket();
    socket.send(&frame.to_bytes());
    let (marker, invite) = invite_frame(lab, Family::V4);
    socket.send(&marker.to_bytes());
    let (_, response) = receive(&socket);
    assert_eq!(response.header("Call-ID"), Some(invite.header("Call-ID")), "{response}");
}

/// Starts a laboratory with maintenance on.
#[track_caller]
fn lab_in_maintenance(mode: &str) -> (Daemon, Lab) {
    let lab = Lab::new();
    let daemon = lab.start(mode);
    lab.filter.run(&["on"]);
    (daemon, lab)
}

#[rstest]
#[case::dot1q_ipv4(Family::V4, "native", &[(DOT1Q, 0x602a)])]
#[case::dot1q_ipv6(Family::V6, "native", &[(DOT1Q, 0x602a)])]
#[case::qinq_ipv4(Family::V4, "native", &[(DOT1AD, 7), (DOT1Q, 42)])]
#[case::qinq_ipv6(Family::V6, "native", &[(DOT1AD, 7), (DOT1Q, 42)])]
#[case::two_dot1q_tags(Family::V4, "native", &[(DOT1Q, 7), (DOT1Q, 42)])]
#[case::dot1q_generic(Family::V4, "generic", &[(DOT1Q, 0x602a)])]
#[case::qinq_generic(Family::V6, "generic", &[(DOT1AD, 7), (DOT1Q, 42)])]
fn refusal_returns_to_the_vlan_of_the_invite(#[case] family: Family, #[case] mode: &str, #[case] tags: &[Tag]) {
    let lab = Lab::new();
    // The kernel of the tests may have no VLAN devices, so that all addresses are shielded, in whatever VLAN.
    let _daemon = lab.filter.start(&["--iface", PROXY_INTERFACE, "--mode", mode, "--address", "any"]);
    lab.filter.run(&["on"]);
    let (mut frame, invite) = invite_frame(&lab, family);
    frame.tags = tags.to_vec();
    assert_refused(&lab, &frame, &invite);
}

#[rstest]
#[case::ipv4_options(Family::V4, |frame: &mut Frame| frame.ipv4_options = [0x94, 4, 0, 0, 1, 1, 1, 0].to_vec())]
#[case::ipv6_hop_by_hop(Family::V6, |frame: &mut Frame| frame.ipv6_extensions = vec![(0, vec![0, 1, 4, 0, 0, 0, 0])])]
#[case::ipv6_two_extensions(Family::V6, |frame: &mut Frame| {
    // Hop-by-hop options with a router alert, and destination options of 16 bytes (PadN).
    let (hop_by_hop, mut destination) = (vec![0, 5, 2, 0, 0, 1, 0], vec![0; 15]);
    destination[..3].copy_from_slice(&[1, 1, 12]);
    frame.ipv6_extensions = vec![(0, hop_by_hop), (60, destination)];
})]
#[case::padding(Family::V4, |frame: &mut Frame| frame.padding = 18)]
fn call_in_an_unusual_frame_is_refused(#[case] family: Family, #[case] change: fn(&mut Frame)) {
    let (_daemon, lab) = lab_in_maintenance("native");
    let (mut frame, invite) = invite_frame(&lab, family);
    change(&mut frame);
    assert_refused(&lab, &frame, &invite);
}

#[test]
fn call_in_a_frame_with_three_vlan_tags_passes() {
    let (_daemon, lab) = lab_in_maintenance("native");
    let (mut frame, _) = invite_frame(&lab, Family::V4);
    frame.tags = vec![(DOT1AD, 1), (DOT1Q, 2), (DOT1Q, 3)];
    let before = lab.filter.stats().verdict(Verdict::NotIp);
    assert_no_response(&lab, &frame);
    assert!(lab.filter.stats().verdict(Verdict::NotIp) > before);
}

#[test]
fn call_to_a_multicast_address_gets_no_response() {
    let (_daemon, lab) = lab_in_maintenance("native");
    let (mut frame, _) = invite_frame(&lab, Family::V4);
    frame.destination_mac = [0x01, 0, 0x5e, 0, 0x01, 0x4b];
    // sip.mcast.net (RFC 3261 22.1.1). A response would have a source address that is no host's.
    frame.destination.set_ip([224, 0, 1, 75].into());
    assert_no_response(&lab, &frame);
    assert_eq!(lab.filter.stats().verdict(Verdict::NotUnicast), 1);
}

#[rstest]
#[case::mac(|frame: &mut Frame| frame.destination_mac[5] = 0x99, Verdict::OtherHost)]
#[case::address(|frame: &mut Frame| frame.destination.set_ip([198, 18, 9, 9].into()), Verdict::OtherAddress)]
#[case::vlan(|frame: &mut Frame| frame.tags = vec![(DOT1Q, 777)], Verdict::OtherHost)]
#[case::address_of_itself(|frame: &mut Frame| frame.source = frame.destination, Verdict::OwnSource)]
#[case::broadcast_source(|frame: &mut Frame| frame.source.set_ip([198, 18, 0, 255].into()), Verdict::NotUnicast)]
fn call_that_is_not_this_hosts_gets_no_response_in_anyones_name(
    #[case] change: fn(&mut Frame),
    #[case] verdict: Verdict,
    #[values("native", "generic")] mode: &str,
) {
    let (_daemon, lab) = lab_in_maintenance(mode);
    let (mut frame, _) = invite_frame(&lab, Family::V4);
    change(&mut frame);
    assert_no_response(&lab, &frame);
    assert_eq!(lab.filter.stats().verdict(verdict), 1);
}

#[test]
fn refusal_goes_to_the_port_in_the_via_without_rport() {
    let (_daemon, lab) = lab_in_maintenance("native");
    let (mut frame, mut invite) = invite_frame(&lab, Family::V4);
    let via = invite.header("Via").replace(";rport", "").replace(":5062", ":5099");
    invite.set("Via", &via);
    frame.payload = invite.to_bytes();
    let socket = lab.packet_socket();
    socket.send(&frame.to_bytes());
    let (packet, _) = receive(&socket);
    assert_eq!(packet.source, frame.destination);
    assert_eq!(packet.destination, SocketAddr::new(frame.source.ip(), 5099));
}

#[test]
fn refusal_leaves_by_the_interface_of_the_filter() {
    let (_daemon, lab) = lab_in_maintenance("native");
    let caller = lab.caller(Family::V4);
    let sent = || lab.interface_counter(End::Proxy, "tx", "packets");
    lab.expect_call_refused(&caller);
    let before = sent();
    for _ in 0..5 {
        lab.expect_call_refused(&caller);
    }
    assert!(sent() >= before + 5);
}
