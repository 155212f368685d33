//! Named packets, one for each way through the headers of a frame, with the verdict that each must get.

use filter_common::verdict::Verdict;
use filter_tests::frame::{DOT1AD, DOT1Q, Frame};
use rstest::rstest;

use crate::rig::{Rig, frame, invite, ipv4, ipv6, new_invite, octets};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Six octets of padding (PadN): with the two that every extension header begins with, eight.
fn padding() -> Vec<u8> {
    vec![0, 1, 4, 0, 0, 0, 0]
}

fn with(frame: Frame, change: impl FnOnce(&mut Frame)) -> Vec<u8> {
    let mut frame = frame;
    change(&mut frame);
    octets(&frame)
}

/// A frame with octets overwritten after it was built.
fn patched(frame: Frame, offset: usize, patch: &[u8]) -> Vec<u8> {
    let mut frame = octets(&frame);
    frame[offset..offset + patch.len()].copy_from_slice(patch);
    frame
}

fn new4() -> Frame {
    ipv4(&new_invite())
}

fn new6() -> Frame {
    ipv6(&new_invite())
}

#[rstest]
#[case::ipv4(octets(&new4()))]
#[case::ipv6(octets(&new6()))]
#[case::ipv4_in_a_vlan(with(new4(), |f| f.tags = vec![(DOT1Q, 100)]))]
#[case::ipv6_in_a_vlan(with(new6(), |f| f.tags = vec![(DOT1Q, 0xe064)]))]
#[case::two_vlan_tags(with(new4(), |f| f.tags = vec![(DOT1AD, 7), (DOT1Q, 100)]))]
#[case::two_vlan_tags_of_one_kind(with(new6(), |f| f.tags = vec![(DOT1Q, 7), (DOT1Q, 100)]))]
#[case::ipv4_with_options(with(new4(), |f| f.ipv4_options = vec![1; 4]))]
#[case::ipv4_with_forty_octets_of_options(with(new4(), |f| f.ipv4_options = vec![1; 40]))]
#[case::ipv6_with_hop_by_hop_options(with(new6(), |f| f.ipv6_extensions = vec![(HOP_BY_HOP, padding())]))]
#[case::ipv6_with_destination_options(with(new6(), |f| f.ipv6_extensions = vec![(DESTINATION_OPTIONS, padding())]))]
#[case::ipv6_at_the_end_of_its_route(with(new6(), |f| f.ipv6_extensions = vec![(ROUTING, vec![0; 7])]))]
#[case::ipv6_with_all_of_them(with(new6(), |f| f.ipv6_extensions = vec![
    (HOP_BY_HOP, padding()), (DESTINATION_OPTIONS, padding()), (ROUTING, vec![0; 7]), (DESTINATION_OPTIONS, padding()),
]))]
#[case::padded(with(new4(), |f| f.padding = 18))]
#[case::do_not_fragment(patched(new4(), 14 + 6, &[0x40, 0]))]
#[case::line_ends_before_it(octets(&ipv4(&[b"\r\n\r\n", &new_invite()[..]].concat())))]
#[case::with_a_checksum_of_zero(patched(new4(), 14 + 20 + 6, &[0, 0]))]
fn a_new_call_is_redirected(#[case] packet: Vec<u8>) {
    assert_eq!(Rig::on().verdict(&packet), Verdict::Redirected);
}

#[rstest]
#[case::arp(patched(new4(), 12, &[0x08, 0x06]), Verdict::NotIp)]
#[case::three_vlan_tags(with(new4(), |f| f.tags = vec![(DOT1AD, 1), (DOT1Q, 2), (DOT1Q, 3)]), Verdict::NotIp)]
#[case::ipv4_tcp(patched(new4(), 14 + 9, &[6]), Verdict::NotUdp)]
#[case::ipv6_tcp(patched(new6(), 14 + 6, &[6]), Verdict::NotUdp)]
#[case::ipv6_authentication_header(with(new6(), |f| f.ipv6_extensions = vec![(51, padding())]), Verdict::NotUdp)]
#[case::ipv6_no_next_header(patched(new6(), 14 + 6, &[59]), Verdict::NotUdp)]
#[case::ipv6_on_its_way_elsewhere(
    with(new6(), |f| f.ipv6_extensions = vec![(ROUTING, vec![0, 0, 1, 0, 0, 0, 0])]), Verdict::NotUdp)]
#[case::ipv6_more_headers_than_are_walked(
    with(new6(), |f| f.ipv6_extensions = vec![(DESTINATION_OPTIONS, padding()); 5]), Verdict::NotUdp)]
#[case::another_port(octets(&frame("198.18.0.1:5060", "198.18.0.2:5061", &new_invite())), Verdict::OtherPort)]
#[case::ipv4_first_fragment(patched(new4(), 14 + 6, &[0x20, 0]), Verdict::Fragment)]
#[case::ipv4_later_fragment(patched(new4(), 14 + 6, &[0x00, 0x10]), Verdict::Fragment)]
#[case::ipv6_fragment(with(new6(), |f| f.ipv6_extensions = vec![(FRAGMENT, vec![0; 7])]), Verdict::Fragment)]
#[case::ipv4_of_version_5(patched(new4(), 14, &[0x55]), Verdict::Malformed)]
#[case::ipv4_header_too_short(patched(new4(), 14, &[0x44]), Verdict::Malformed)]
#[case::ipv4_shorter_than_its_header(patched(new4(), 14 + 2, &[0, 10]), Verdict::Malformed)]
#[case::ipv6_of_version_4(patched(new6(), 14, &[0x40]), Verdict::Malformed)]
#[case::ipv6_shorter_than_its_headers(
    patched({ let mut f = new6(); f.ipv6_extensions = vec![(HOP_BY_HOP, padding())]; f }, 14 + 4, &[0, 4]), Verdict::Malformed)]
#[case::udp_longer_than_ip(patched(new4(), 14 + 20 + 4, &[0x0f, 0xff]), Verdict::Malformed)]
#[case::udp_shorter_than_its_header(patched(new4(), 14 + 20 + 4, &[0, 7]), Verdict::Malformed)]
#[case::ip_longer_than_the_frame(
    { let mut p = octets(&new4()); p.truncate(p.len() - 1); p }, Verdict::Malformed)]
#[case::ipv4_but_not_udp_longer_than_the_frame(patched(new4(), 14 + 2, &[0x0f, 0xff]), Verdict::Malformed)]
#[case::ipv6_but_not_udp_longer_than_the_frame(patched(new6(), 14 + 4, &[0x0f, 0xff]), Verdict::Malformed)]
#[case::cut_in_the_ip_header(octets(&new4())[..14 + 12].to_vec(), Verdict::Malformed)]
#[case::cut_in_the_udp_header(octets(&new4())[..14 + 20 + 5].to_vec(), Verdict::Malformed)]
#[case::to_a_multicast_mac(with(new4(), |f| f.destination_mac = [1, 0, 0x5e, 0, 1, 75]), Verdict::NotUnicast)]
#[case::from_a_multicast_mac(patched(new4(), 6, &[1, 0, 0x5e, 0, 1, 75]), Verdict::NotUnicast)]
#[case::to_sip_mcast_net(octets(&frame("198.18.0.1:5060", "224.0.1.75:5060", &new_invite())), Verdict::NotUnicast)]
#[case::to_the_broadcast_address(octets(&frame("198.18.0.1:5060", "255.255.255.255:5060", &new_invite())), Verdict::NotUnicast)]
#[case::from_a_multicast_address(octets(&frame("239.0.0.1:5060", "198.18.0.2:5060", &new_invite())), Verdict::NotUnicast)]
#[case::from_no_address(octets(&frame("0.0.0.0:5060", "198.18.0.2:5060", &new_invite())), Verdict::NotUnicast)]
#[case::to_an_ipv6_group(octets(&frame("[2001:db8::1]:5060", "[ff02::1]:5060", &new_invite())), Verdict::NotUnicast)]
#[case::from_no_ipv6_address(octets(&frame("[::]:5060", "[2001:db8::2]:5060", &new_invite())), Verdict::NotUnicast)]
#[case::longer_than_an_af_xdp_frame(octets(&ipv4(&long_invite(3900))), Verdict::TooLong)]
#[case::in_several_buffers(octets(&ipv4(&long_invite(9000))), Verdict::TooLong)]
#[case::register(octets(&ipv4(b"REGISTER sip:b SIP/2.0\r\nTo: <sip:b>\r\n\r\n")), Verdict::NotInvite)]
#[case::response(octets(&ipv4(b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n")), Verdict::NotInvite)]
#[case::keep_alive(octets(&ipv4(b"\r\n\r\n")), Verdict::NotInvite)]
#[case::empty(octets(&ipv4(b"")), Verdict::NotInvite)]
#[case::empty_but_padded_with_an_invite(
    { let mut p = octets(&ipv4(b"")); p.extend(new_invite()); p }, Verdict::NotInvite)]
#[case::invite_in_lower_case(octets(&ipv4(&new_invite().to_ascii_lowercase())), Verdict::NotInvite)]
#[case::a_method_that_begins_like_it(octets(&ipv4(b"INVITES sip:b SIP/2.0\r\nTo: <sip:b>\r\n\r\n")), Verdict::NotInvite)]
#[case::too_many_line_ends(octets(&ipv4(&[&[b'\n'; 17][..], &new_invite()].concat())), Verdict::NotInvite)]
#[case::in_dialog(octets(&ipv4(&invite("To: <sip:bob@b>;tag=1"))), Verdict::InDialog)]
#[case::in_dialog_over_ipv6(octets(&ipv6(&invite("t:sip:bob@b;TAG=1"))), Verdict::InDialog)]
#[case::two_to_headers(octets(&ipv4(&invite("To: <sip:bob@b>\r\nt: <sip:bob@b>"))), Verdict::Undecided)]
#[case::no_to_header(octets(&ipv4(&invite("X: y"))), Verdict::Undecided)]
#[case::unclosed_quote(octets(&ipv4(&invite("To: \"Bob <sip:bob@b>"))), Verdict::Undecided)]
#[case::only_its_method(octets(&ipv4(b"INVITE ")), Verdict::NotInvite)]
#[case::the_end_of_its_headers_is_only_padding(
    { let m = new_invite(); let mut p = octets(&ipv4(&m[..m.len() - 2])); p.extend(b"\r\n"); p }, Verdict::Undecided)]
fn everything_else_passes(#[case] packet: Vec<u8>, #[case] verdict: Verdict) {
    assert_eq!(Rig::on().verdict(&packet), verdict);
}

/// A new INVITE of `length` octets, all in its headers.
fn long_invite(length: usize) -> Vec<u8> {
    let short = invite("X: \r\nTo: <sip:bob@b>").len();
    invite(&format!("X: {}\r\nTo: <sip:bob@b>", "x".repeat(length - short)))
}

#[test]
fn the_longest_frame_that_a_socket_can_hold_is_still_redirected() {
    let mut rig = Rig::on();
    let headers = octets(&ipv4(b"")).len();
    // BPF_PROG_TEST_RUN has room for a little less than a socket in one buffer (`xdp_test_run`, skb_shared_info).
    for length in 3000..3440 {
        assert_eq!(rig.verdict(&octets(&ipv4(&long_invite(length - headers)))), Verdict::Redirected, "{length}");
    }
}

#[test]
fn every_truncation_of_a_new_invite_passes() {
    let mut rig = Rig::on();
    let whole = new_invite();
    for length in 0..whole.len() {
        let verdict = rig.verdict(&octets(&ipv4(&whole[..length])));
        assert_ne!(verdict, Verdict::Redirected, "cut after {length} octets");
    }
    let packet = octets(&ipv4(&whole));
    for length in 14..packet.len() {
        assert_eq!(rig.verdict(&packet[..length]), Verdict::Malformed, "frame cut after {length} octets");
    }
}

#[test]
fn exactly_the_proxy_s_port_is_looked_at() {
    let mut rig = Rig::on();
    let mut packet = octets(&new4());
    for port in 0..=u16::MAX {
        packet[14 + 20 + 2..][..2].copy_from_slice(&port.to_be_bytes());
        let redirected = rig.action(&packet) == crate::rig::XDP_REDIRECT;
        assert_eq!(redirected, port == 5060, "port {port}");
    }
}

#[test]
fn exactly_the_known_ethertypes_are_looked_at() {
    let mut rig = Rig::on();
    let mut packet = octets(&new4());
    for ethertype in 0..=u16::MAX {
        packet[12..14].copy_from_slice(&ethertype.to_be_bytes());
        let redirected = rig.action(&packet) == crate::rig::XDP_REDIRECT;
        assert_eq!(redirected, ethertype == 0x0800, "ethertype {ethertype:#x}");
    }
}
