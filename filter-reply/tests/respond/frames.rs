//! Ethernet, VLAN tags, IPv4 and IPv6 around the request and around the response.

use filter_reply::Unanswered;
use rstest::rstest;

use crate::wire::{Capture, PROXY_MAC, SENDER_MAC, Sender};
use crate::{invite_to, invite_via, respond_to_frame, template};

fn message() -> Vec<u8> {
    invite_via("Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK-1;rport")
}

#[rstest]
#[case::ipv4(Sender::default())]
#[case::ipv6(Sender::ipv6())]
#[case::vlan(Sender { tags: vec![(0x8100, 0x6064)], ..Sender::default() })]
#[case::vlan_ipv6(Sender { tags: vec![(0x8100, 0x0001)], ..Sender::ipv6() })]
#[case::qinq(Sender { tags: vec![(0x88a8, 0xffff), (0x8100, 0x0064)], ..Sender::default() })]
#[case::qinq_ipv6(Sender { tags: vec![(0x8100, 0x0064), (0x8100, 0x0065)], ..Sender::ipv6() })]
#[case::ipv4_options(Sender { options: vec![1; 40], ..Sender::default() })]
#[case::ipv4_router_alert(Sender { options: vec![0x94, 4, 0, 0], ..Sender::default() })]
#[case::hop_by_hop(Sender { extensions: vec![(0, vec![0; 8])], ..Sender::ipv6() })]
#[case::routing(Sender { extensions: vec![(43, vec![0, 0, 4, 0, 0, 0, 0, 0])], ..Sender::ipv6() })]
#[case::destination_options(Sender { extensions: vec![(60, [vec![0, 1], vec![0; 14]].concat())], ..Sender::ipv6() })]
#[case::four_extensions(Sender { extensions: vec![(0, vec![0; 8]), (60, vec![0; 8]), (43, vec![0; 8]), (60, vec![0; 8])], ..Sender::ipv6() })]
#[case::padded(Sender { padding: 30, ..Sender::default() })]
#[case::padded_ipv6(Sender { padding: 1, ..Sender::ipv6() })]
fn response_frame_mirrors_the_headers_of_the_request(#[case] sender: Sender) {
    let reply = Capture::parse(&respond_to_frame(&sender.frame(&message()), &template()).unwrap());
    assert_eq!(reply.macs, [SENDER_MAC, PROXY_MAC]);
    assert_eq!(reply.tags, sender.tags);
    assert_eq!(reply.source, sender.destination);
    assert_eq!(reply.destination, sender.source);
    assert!(reply.message.ends_with(b"\r\nContent-Length: 0\r\n\r\n"));
}

#[test]
fn udp_checksum_is_correct_at_every_length_and_never_left_out() {
    for sender in [Sender::default(), Sender::ipv6()] {
        let mut parities = std::collections::HashSet::new();
        // `Capture::parse` checks the checksum.
        for len in 0..300 {
            let to = format!("To: \"{}\" <sip:b@b>", "x".repeat(len));
            parities.insert(
                respond_to_frame(&sender.frame(&invite_to(&to)), &template())
                    .map(|frame| Capture::parse(&frame).message.len() % 2),
            );
        }
        assert_eq!(parities.len(), 2, "even and odd lengths");
    }
}

#[test]
fn udp_checksum_of_zero_is_sent_as_ffff() {
    // The port of sent-by is both in the response and its destination port: with it, the checksum takes nearly all
    // values, and with another branch, hence another tag, it takes others.
    let is_all_ones = |branch: u8, port: u16| {
        let message = invite_via(&format!("Via: SIP/2.0/UDP 198.18.0.1:{port:05};branch=z9hG4bK-{branch}"));
        let frame = respond_to_frame(&Sender::default().frame(&message), &template()).unwrap();
        Capture::parse(&frame);
        frame[40..42] == [0xff, 0xff]
    };
    let is_one_of_all = |branch| (1..=u16::MAX).any(|port| is_all_ones(branch, port));
    assert!((1..=9).any(is_one_of_all), "no response has a checksum of zero");
}

#[test]
fn dscp_is_that_of_the_request_and_ecn_is_off() {
    for sender in [Sender::default(), Sender::ipv6()] {
        for traffic_class in 0..=u8::MAX {
            let sender = Sender { traffic_class, ..sender.clone() };
            let reply = Capture::parse(&respond_to_frame(&sender.frame(&message()), &template()).unwrap());
            assert_eq!(reply.traffic_class, traffic_class & 0xfc);
        }
    }
}

/// Responds to a frame in which bytes are replaced, by their offsets.
fn respond_to_edited(sender: &Sender, edits: &[(usize, u8)]) -> Result<Vec<u8>, Unanswered> {
    let mut frame = sender.frame(&message());
    for (at, byte) in edits {
        frame[*at] = *byte;
    }
    respond_to_frame(&frame, &template())
}

#[rstest]
#[case::arp(&[(13, 0x06)], Unanswered::Unreadable)]
#[case::version(&[(14, 0x65)], Unanswered::Unreadable)]
#[case::short_header(&[(14, 0x44)], Unanswered::Unreadable)]
#[case::total_length(&[(16, 0xff)], Unanswered::Unreadable)]
#[case::total_length_of_nothing(&[(16, 0), (17, 19)], Unanswered::Unreadable)]
#[case::more_fragments(&[(20, 0x20)], Unanswered::Unreadable)]
#[case::fragment_offset(&[(21, 1)], Unanswered::Unreadable)]
#[case::tcp(&[(23, 6)], Unanswered::Unreadable)]
#[case::udp_longer_than_ip(&[(38, 0xff)], Unanswered::Unreadable)]
#[case::udp_shorter_than_its_header(&[(38, 0), (39, 7)], Unanswered::Unreadable)]
#[case::multicast_source(&[(26, 224)], Unanswered::NotUnicast)]
#[case::broadcast_source(&[(26, 255), (27, 255), (28, 255), (29, 255)], Unanswered::NotUnicast)]
#[case::this_network_source(&[(26, 0)], Unanswered::NotUnicast)]
#[case::reserved_source(&[(26, 240)], Unanswered::NotUnicast)]
#[case::unspecified_source(&[(26, 0), (27, 0), (28, 0), (29, 0)], Unanswered::NotUnicast)]
#[case::reserved_destination(&[(30, 240)], Unanswered::NotUnicast)]
#[case::multicast_destination(&[(30, 224)], Unanswered::NotUnicast)]
#[case::group_source_mac(&[(6, 3)], Unanswered::NotUnicast)]
#[case::group_destination_mac(&[(0, 1)], Unanswered::NotUnicast)]
#[case::source_port_0(&[(34, 0), (35, 0)], Unanswered::SourcePort)]
fn malformed_ipv4_frame_gets_no_response(#[case] edits: &[(usize, u8)], #[case] expected: Unanswered) {
    assert_eq!(respond_to_edited(&Sender::default(), edits), Err(expected));
}

#[rstest]
#[case::version(&[(14, 0x40)], Unanswered::Unreadable)]
#[case::payload_length(&[(18, 0xff)], Unanswered::Unreadable)]
#[case::jumbogram(&[(18, 0), (19, 0)], Unanswered::Unreadable)]
#[case::fragment(&[(20, 44)], Unanswered::Unreadable)]
#[case::no_next_header(&[(20, 59)], Unanswered::Unreadable)]
#[case::multicast_source(&[(22, 0xff)], Unanswered::NotUnicast)]
#[case::multicast_destination(&[(38, 0xff)], Unanswered::NotUnicast)]
fn malformed_ipv6_frame_gets_no_response(#[case] edits: &[(usize, u8)], #[case] expected: Unanswered) {
    assert_eq!(respond_to_edited(&Sender::ipv6(), edits), Err(expected));
}

#[rstest]
#[case::three_vlan_tags(Sender { tags: vec![(0x8100, 1); 3], ..Sender::default() })]
#[case::segments_left(Sender { extensions: vec![(43, vec![0, 0, 4, 1, 0, 0, 0, 0])], ..Sender::ipv6() })]
#[case::extension_longer_than_packet(Sender { extensions: vec![(0, vec![0, 255, 0, 0, 0, 0, 0, 0])], ..Sender::ipv6() })]
#[case::five_extensions(Sender { extensions: vec![(60, vec![0; 8]); 5], ..Sender::ipv6() })]
fn frame_that_the_xdp_program_never_redirects_gets_no_response(#[case] sender: Sender) {
    assert_eq!(respond_to_frame(&sender.frame(&message()), &template()), Err(Unanswered::Unreadable));
}

#[test]
fn udp_length_bounds_the_message() {
    // The empty line is after the end of the datagram, in the padding.
    let message = message();
    let headers = message.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 2;
    let mut frame = Sender::default().frame(&message[..headers]);
    frame.extend(b"\r\n\r\n");
    assert_eq!(respond_to_frame(&frame, &template()), Err(Unanswered::Headers));
}

#[test]
fn response_that_does_not_fit_is_not_sent() {
    for sender in [Sender { tags: vec![(0x8100, 1)], ..Sender::default() }, Sender::ipv6()] {
        let frame = sender.frame(&message());
        let len = respond_to_frame(&frame, &template()).unwrap().len();
        let mut out = vec![0; len];
        for room in 0..len {
            let response = filter_reply::respond(&frame, 65_535, &mut out[..room], &template());
            assert_eq!(response, Err(Unanswered::TooLong), "{room} of {len} bytes");
        }
        let packet = len - 14 - 4 * sender.tags.len();
        let len_within = |mtu: usize| {
            filter_reply::respond(&frame, mtu, &mut vec![0; len], &template()).map(|response| response.len)
        };
        assert_eq!(len_within(packet), Ok(len));
        assert_eq!(len_within(packet - 1), Err(Unanswered::TooLong), "the MTU counts the IP packet");
    }
}
