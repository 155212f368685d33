//! Named packets, one for each path through the headers of a frame, with the verdict that each must get.

use filter_common::maps::Vlan;
use filter_common::verdict::Verdict;
use filter_lab::frame::{DOT1AD, DOT1Q, Frame};
use rstest::rstest;

use crate::rig::{
    Rig, TEST_QUEUE, XDP_REDIRECT, bytes, invite, ipv4, ipv4_frame, ipv6, ipv6_frame, new_invite, packet,
};

/// Offset of the ethertype in a frame without VLAN tags.
const ETHERTYPE: usize = 12;
/// Offset of the IP header in a frame without VLAN tags.
const IP: usize = 14;
/// Offset of the UDP header behind an IPv4 header without options.
const UDP: usize = IP + 20;

// Protocol numbers of IPv6 extension headers.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Returns the body of an extension header of 8 bytes: its length field, and an option `PadN` that fills it.
fn padding() -> Vec<u8> {
    vec![0, 1, 4, 0, 0, 0, 0]
}

/// Returns the bytes of `frame` after `change`.
#[track_caller]
fn with(mut frame: Frame, change: impl FnOnce(&mut Frame)) -> Vec<u8> {
    change(&mut frame);
    bytes(&frame)
}

/// Returns the bytes of `frame`, with `patch` written over them at `offset`. Lengths and checksums stay as they were.
#[track_caller]
fn patched(frame: Frame, offset: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = bytes(&frame);
    bytes[offset..offset + patch.len()].copy_from_slice(patch);
    bytes
}

/// Returns an IPv4 frame with a new INVITE.
fn new4() -> Frame {
    ipv4_frame(&new_invite())
}

/// Returns an IPv6 frame with a new INVITE.
fn new6() -> Frame {
    ipv6_frame(&new_invite())
}

#[rstest]
#[case::over_ipv4(bytes(&new4()))]
#[case::over_ipv6(bytes(&new6()))]
#[case::over_ipv4_in_a_vlan(with(new4(), |f| f.tags = vec![(DOT1Q, 100)]))]
#[case::over_ipv6_in_a_vlan(with(new6(), |f| f.tags = vec![(DOT1Q, 0xe064)]))]
#[case::with_two_vlan_tags(with(new4(), |f| f.tags = vec![(DOT1AD, 7), (DOT1Q, 100)]))]
#[case::with_two_vlan_tags_of_one_ethertype(with(new6(), |f| f.tags = vec![(DOT1Q, 7), (DOT1Q, 100)]))]
#[case::with_ipv4_options(with(new4(), |f| f.ipv4_options = vec![1; 4]))]
#[case::with_40_bytes_of_ipv4_options(with(new4(), |f| f.ipv4_options = vec![1; 40]))]
#[case::with_ipv6_hop_by_hop_options(with(new6(), |f| f.ipv6_extensions = vec![(HOP_BY_HOP, padding())]))]
#[case::with_ipv6_destination_options(with(new6(), |f| f.ipv6_extensions = vec![(DESTINATION_OPTIONS, padding())]))]
#[case::with_an_ipv6_routing_header_without_segments_left(
    with(new6(), |f| f.ipv6_extensions = vec![(ROUTING, vec![0; 7])]))]
#[case::with_four_ipv6_extension_headers(with(new6(), |f| f.ipv6_extensions = vec![
    (HOP_BY_HOP, padding()), (DESTINATION_OPTIONS, padding()), (ROUTING, vec![0; 7]), (DESTINATION_OPTIONS, padding()),
]))]
#[case::in_a_padded_frame(with(new4(), |f| f.padding = 18))]
#[case::with_the_flag_do_not_fragment(patched(new4(), IP + 6, &[0x40, 0]))]
#[case::after_blank_lines(ipv4(&[b"\r\n\r\n", &new_invite()[..]].concat()))]
#[case::with_a_udp_checksum_of_zero(patched(new4(), UDP + 6, &[0, 0]))]
fn new_call_is_redirected(#[case] packet: Vec<u8>) {
    let mut rig = Rig::in_maintenance();
    rig.own(|owned| {
        let tag = |ethertype: u16, id: u32| (u32::from(ethertype) << 16) | id;
        for (outer, inner) in
            [(tag(DOT1Q, 100), 0), (tag(DOT1AD, 7), tag(DOT1Q, 100)), (tag(DOT1Q, 7), tag(DOT1Q, 100))]
        {
            owned.vlans.insert(Vlan { ifindex: TEST_QUEUE.ifindex, outer, inner, reserved: 0 });
        }
    });
    assert_eq!(rig.verdict(&packet), Verdict::Redirected);
}

#[rstest]
#[case::arp(patched(new4(), ETHERTYPE, &[0x08, 0x06]), Verdict::NotIp)]
#[case::three_vlan_tags(with(new4(), |f| f.tags = vec![(DOT1AD, 1), (DOT1Q, 2), (DOT1Q, 3)]), Verdict::NotIp)]
#[case::ipv4_tcp(patched(new4(), IP + 9, &[6]), Verdict::NotUdp)]
#[case::ipv6_tcp(patched(new6(), IP + 6, &[6]), Verdict::NotUdp)]
#[case::ipv6_authentication_header(
    with(new6(), |f| f.ipv6_extensions = vec![(AUTHENTICATION, padding())]), Verdict::NotUdp)]
#[case::ipv6_no_next_header(patched(new6(), IP + 6, &[59]), Verdict::NotUdp)]
#[case::ipv6_routing_header_with_segments_left(
    with(new6(), |f| f.ipv6_extensions = vec![(ROUTING, vec![0, 0, 1, 0, 0, 0, 0])]), Verdict::NotUdp)]
#[case::five_ipv6_extension_headers(
    with(new6(), |f| f.ipv6_extensions = vec![(DESTINATION_OPTIONS, padding()); 5]), Verdict::NotUdp)]
#[case::another_port(packet("198.18.0.1:5060", "198.18.0.2:5061", &new_invite()), Verdict::OtherPort)]
fn packet_other_than_udp_to_the_sip_port_passes(#[case] packet: Vec<u8>, #[case] verdict: Verdict) {
    assert_eq!(Rig::in_maintenance().verdict(&packet), verdict);
}

#[rstest]
#[case::first_of_ipv4(patched(new4(), IP + 6, &[0x20, 0]))]
#[case::later_of_ipv4(patched(new4(), IP + 6, &[0x00, 0x10]))]
#[case::of_ipv6(with(new6(), |f| f.ipv6_extensions = vec![(FRAGMENT, vec![0; 7])]))]
fn fragment_passes(#[case] packet: Vec<u8>) {
    assert_eq!(Rig::in_maintenance().verdict(&packet), Verdict::Fragment);
}

#[rstest]
#[case::ipv4_with_version_5(patched(new4(), IP, &[0x55]))]
#[case::ipv4_with_a_header_length_of_16(patched(new4(), IP, &[0x44]))]
#[case::ipv4_shorter_than_its_header(patched(new4(), IP + 2, &[0, 10]))]
#[case::ipv6_with_version_4(patched(new6(), IP, &[0x40]))]
#[case::ipv6_shorter_than_its_extension_headers(patched(
    { let mut f = new6(); f.ipv6_extensions = vec![(HOP_BY_HOP, padding())]; f }, IP + 4, &[0, 4]))]
#[case::udp_longer_than_ip(patched(new4(), UDP + 4, &[0x0f, 0xff]))]
#[case::udp_shorter_than_its_header(patched(new4(), UDP + 4, &[0, 7]))]
#[case::ip_longer_than_the_frame({ let mut p = bytes(&new4()); p.truncate(p.len() - 1); p })]
#[case::ipv4_but_not_udp_longer_than_the_frame(patched(new4(), IP + 2, &[0x0f, 0xff]))]
#[case::ipv6_but_not_udp_longer_than_the_frame(patched(new6(), IP + 4, &[0x0f, 0xff]))]
#[case::truncated_in_the_ip_header(bytes(&new4())[..IP + 12].to_vec())]
#[case::truncated_in_the_udp_header(bytes(&new4())[..UDP + 5].to_vec())]
fn malformed_packet_passes(#[case] packet: Vec<u8>) {
    assert_eq!(Rig::in_maintenance().verdict(&packet), Verdict::Malformed);
}

#[rstest]
#[case::to_a_multicast_mac(with(new4(), |f| f.destination_mac = [1, 0, 0x5e, 0, 1, 75]))]
#[case::from_a_multicast_mac(patched(new4(), 6, &[1, 0, 0x5e, 0, 1, 75]))]
#[case::to_sip_mcast_net(packet("198.18.0.1:5060", "224.0.1.75:5060", &new_invite()))]
#[case::to_the_broadcast_address(packet("198.18.0.1:5060", "255.255.255.255:5060", &new_invite()))]
#[case::from_a_multicast_address(packet("239.0.0.1:5060", "198.18.0.2:5060", &new_invite()))]
#[case::from_the_unspecified_address(packet("0.0.0.0:5060", "198.18.0.2:5060", &new_invite()))]
#[case::to_an_ipv6_multicast_address(packet("[2001:db8::1]:5060", "[ff02::1]:5060", &new_invite()))]
#[case::from_the_unspecified_ipv6_address(packet("[::]:5060", "[2001:db8::2]:5060", &new_invite()))]
fn new_call_to_or_from_an_address_that_is_not_unicast_passes(#[case] packet: Vec<u8>) {
    assert_eq!(Rig::in_maintenance().verdict(&packet), Verdict::NotUnicast);
}

#[rstest]
#[case::longer_than_an_af_xdp_frame(ipv4(&long_invite(3900)))]
#[case::in_several_buffers(ipv4(&long_invite(9000)))]
fn new_call_that_an_af_xdp_socket_cannot_hold_passes(#[case] packet: Vec<u8>) {
    assert_eq!(Rig::in_maintenance().verdict(&packet), Verdict::TooLong);
}

#[rstest]
#[case::register(ipv4(b"REGISTER sip:b SIP/2.0\r\nTo: <sip:b>\r\n\r\n"), Verdict::NotInvite)]
#[case::response(ipv4(b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n"), Verdict::NotInvite)]
#[case::keep_alive(ipv4(b"\r\n\r\n"), Verdict::NotInvite)]
#[case::empty_datagram(ipv4(b""), Verdict::NotInvite)]
#[case::empty_datagram_padded_with_an_invite({ let mut p = ipv4(b""); p.extend(new_invite()); p }, Verdict::NotInvite)]
#[case::invite_in_lower_case(ipv4(&new_invite().to_ascii_lowercase()), Verdict::NotInvite)]
#[case::method_that_begins_with_invite(ipv4(b"INVITES sip:b SIP/2.0\r\nTo: <sip:b>\r\n\r\n"), Verdict::NotInvite)]
#[case::invite_after_17_blank_lines(ipv4(&[&[b'\n'; 17][..], &new_invite()].concat()), Verdict::NotInvite)]
#[case::invite_in_a_dialog(ipv4(&invite("To: <sip:bob@b>;tag=1")), Verdict::InDialog)]
#[case::invite_in_a_dialog_over_ipv6(ipv6(&invite("t:sip:bob@b;TAG=1")), Verdict::InDialog)]
#[case::invite_with_two_to_headers(ipv4(&invite("To: <sip:bob@b>\r\nt: <sip:bob@b>")), Verdict::Undecided)]
#[case::invite_without_a_to_header(ipv4(&invite("X: y")), Verdict::Undecided)]
#[case::invite_with_an_unclosed_quote(ipv4(&invite("To: \"Bob <sip:bob@b>")), Verdict::Undecided)]
#[case::method_alone(ipv4(b"INVITE "), Verdict::NotInvite)]
#[case::invite_whose_empty_line_is_padding(
    { let m = new_invite(); let mut p = ipv4(&m[..m.len() - 2]); p.extend(b"\r\n"); p }, Verdict::Undecided)]
fn message_that_is_not_a_new_invite_passes(#[case] packet: Vec<u8>, #[case] verdict: Verdict) {
    assert_eq!(Rig::in_maintenance().verdict(&packet), verdict);
}

/// Returns a new INVITE of `length` bytes without a body.
fn long_invite(length: usize) -> Vec<u8> {
    let short = invite("X: \r\nTo: <sip:bob@b>").len();
    invite(&format!("X: {}\r\nTo: <sip:bob@b>", "x".repeat(length - short)))
}

#[test]
fn new_call_in_a_frame_of_3000_to_3439_bytes_is_redirected() {
    let mut rig = Rig::in_maintenance();
    let headers = ipv4(b"").len();
    // An AF_XDP frame holds 3840 bytes (MAX_FRAME). BPF_PROG_TEST_RUN takes less in one buffer, since it reserves room
    // for a skb_shared_info (`bpf_prog_test_run_xdp()` in net/bpf/test_run.c).
    for length in 3000..3440 {
        assert_eq!(rig.verdict(&ipv4(&long_invite(length - headers))), Verdict::Redirected, "{length} bytes");
    }
}

#[test]
fn every_truncation_of_a_new_invite_passes() {
    let mut rig = Rig::in_maintenance();
    let invite = new_invite();
    for length in 0..invite.len() {
        let verdict = rig.verdict(&ipv4(&invite[..length]));
        assert_ne!(verdict, Verdict::Redirected, "message truncated to {length} bytes");
    }
    let packet = ipv4(&invite);
    for length in IP..packet.len() {
        assert_eq!(rig.verdict(&packet[..length]), Verdict::Malformed, "frame truncated to {length} bytes");
    }
}

#[test]
fn new_call_is_redirected_on_the_sip_port_and_no_other() {
    let mut rig = Rig::in_maintenance();
    let mut packet = bytes(&new4());
    for port in 0..=u16::MAX {
        packet[UDP + 2..][..2].copy_from_slice(&port.to_be_bytes());
        let redirected = rig.action(&packet) == XDP_REDIRECT;
        assert_eq!(redirected, port == 5060, "port {port}");
    }
}

#[test]
fn new_call_over_ipv4_is_redirected_with_the_ethertype_of_ipv4_and_no_other() {
    let mut rig = Rig::in_maintenance();
    let mut packet = bytes(&new4());
    for ethertype in 0..=u16::MAX {
        packet[ETHERTYPE..][..2].copy_from_slice(&ethertype.to_be_bytes());
        let redirected = rig.action(&packet) == XDP_REDIRECT;
        assert_eq!(redirected, ethertype == 0x0800, "ethertype {ethertype:#x}");
    }
}
