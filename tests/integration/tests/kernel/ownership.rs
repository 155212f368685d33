//! Requests that are not this host's, by MAC address, VLAN and address, and packets that may hold several messages.

use filter_common::maps::{AddressKind, InterfaceState, Station, UntaggedAddress, Vlan, mac_number};
use filter_common::verdict::Verdict;
use filter_lab::frame::{DOT1AD, DOT1Q, Frame};
use filter_user::dataplane::Ownership;
use filter_user::domain::Shielded;
use rstest::rstest;

use crate::rig::{Rig, TEST_QUEUE, bytes, invite, ipv4, ipv4_frame, ipv6_frame, new_invite, packet, words};

const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

/// Returns a frame with a new INVITE to a MAC address.
fn to_mac(mac: [u8; 6]) -> Vec<u8> {
    bytes(&Frame { destination_mac: mac, ..ipv4_frame(&new_invite()) })
}

/// Returns a frame with a new INVITE in VLANs, the outer first.
fn tagged(tags: &[(u16, u16)]) -> Vec<u8> {
    bytes(&Frame { tags: tags.to_vec(), ..ipv4_frame(&new_invite()) })
}

/// Returns a packet with a new INVITE to an address.
fn to(destination: &str) -> Vec<u8> {
    let source = if destination.contains('[') { "[2001:db8::1]:5062" } else { "198.18.0.1:5062" };
    packet(source, destination, &new_invite())
}

/// Adds a VLAN device with these tags, the outer first.
fn add_vlan(owned: &mut Ownership, outer: (u16, u16), inner: Option<(u16, u16)>) {
    let number = |(ethertype, id): (u16, u16)| (u32::from(ethertype) << 16) | u32::from(id);
    let (outer, inner) = (number(outer), inner.map_or(0, number));
    owned.vlans.insert(Vlan { ifindex: TEST_QUEUE.ifindex, outer, inner, reserved: 0 });
}

#[test]
fn new_call_to_another_mac_address_passes_unless_a_device_on_top_has_it() {
    let mut rig = Rig::in_maintenance();
    assert_eq!(rig.verdict(&to_mac(OTHER_MAC)), Verdict::OtherHost);
    let station = |ifindex| Station { mac: mac_number(OTHER_MAC), ifindex, reserved: 0 };
    rig.own(|owned| _ = owned.stations.insert(station(TEST_QUEUE.ifindex + 1)));
    assert_eq!(rig.verdict(&to_mac(OTHER_MAC)), Verdict::OtherHost, "the address of another interface");
    rig.own(|owned| _ = owned.stations.insert(station(TEST_QUEUE.ifindex)));
    assert_eq!(rig.verdict(&to_mac(OTHER_MAC)), Verdict::Redirected);
    rig.own(|owned| owned.stations.clear());
    assert_eq!(rig.verdict(&to_mac(OTHER_MAC)), Verdict::OtherHost);
}

#[test]
fn new_call_to_a_mac_address_that_differs_in_any_byte_passes() {
    let mut rig = Rig::in_maintenance();
    for byte in 0..6 {
        let mut mac = [2, 0, 0, 0, 0, 2];
        mac[byte] ^= 0x40;
        assert_eq!(rig.verdict(&to_mac(mac)), Verdict::OtherHost, "{mac:x?}");
    }
}

#[test]
fn new_call_on_an_interface_without_an_entry_passes() {
    let mut rig = Rig::in_maintenance();
    rig.own(|owned| owned.interfaces.clear());
    assert_eq!(rig.verdict(&to("198.18.0.2:5060")), Verdict::OtherHost);
}

#[test]
fn tagged_call_is_refused_only_in_vlans_of_which_the_host_has_a_device() {
    let mut rig = Rig::in_maintenance();
    rig.own(|owned| {
        add_vlan(owned, (DOT1Q, 100), None);
        add_vlan(owned, (DOT1AD, 7), Some((DOT1Q, 200)));
    });
    for (tags, verdict) in [
        (&[(DOT1Q, 100)][..], Verdict::Redirected),
        // The priority does not matter.
        (&[(DOT1Q, 0xe064)], Verdict::Redirected),
        (&[(DOT1AD, 7), (DOT1Q, 200)], Verdict::Redirected),
        (&[(DOT1Q, 777)], Verdict::OtherHost),
        (&[(DOT1AD, 100)], Verdict::OtherHost),
        (&[(DOT1AD, 7)], Verdict::OtherHost),
        (&[(DOT1Q, 200)], Verdict::OtherHost),
        (&[(DOT1Q, 100), (DOT1Q, 200)], Verdict::OtherHost),
        (&[(DOT1AD, 7), (DOT1Q, 201)], Verdict::OtherHost),
        // A tag with the VLAN id 0 carries only a priority.
        (&[(DOT1Q, 0)], Verdict::Redirected),
        (&[(DOT1Q, 0xa000)], Verdict::Redirected),
        (&[(DOT1Q, 0), (DOT1Q, 100)], Verdict::Redirected),
        (&[(DOT1Q, 100), (DOT1Q, 0)], Verdict::Redirected),
        (&[(DOT1Q, 0), (DOT1Q, 777)], Verdict::OtherHost),
    ] {
        assert_eq!(rig.verdict(&tagged(tags)), verdict, "{tags:x?}");
    }
}

#[test]
fn tagged_call_is_refused_in_any_vlan_if_addresses_are_not_local() {
    for shielded in [Shielded::Any, Shielded::Prefixes(["198.18.0.0/15".parse().unwrap()].into())] {
        let mut rig = Rig::shielding(&shielded);
        assert_eq!(rig.verdict(&tagged(&[(DOT1Q, 777)])), Verdict::Redirected, "{shielded:?}");
    }
}

#[rstest]
#[case::local("local", "198.18.0.2:5060", Verdict::Redirected)]
#[case::local_ipv6("local", "[2001:db8::2]:5060", Verdict::Redirected)]
#[case::not_local("local", "198.18.0.3:5060", Verdict::OtherAddress)]
#[case::not_local_ipv6("local", "[2001:db8::3]:5060", Verdict::OtherAddress)]
#[case::broadcast("local", "198.18.0.255:5060", Verdict::OtherAddress)]
#[case::any("any", "203.0.113.77:5060", Verdict::Redirected)]
#[case::any_ipv6("any", "[2001:db8:77::1]:5060", Verdict::Redirected)]
#[case::broadcast_of_any("any", "198.18.0.255:5060", Verdict::OtherAddress)]
#[case::in_a_prefix("203.0.113.0/24", "203.0.113.77:5060", Verdict::Redirected)]
#[case::outside_of_the_prefix("203.0.113.0/24", "203.0.114.1:5060", Verdict::OtherAddress)]
#[case::local_and_outside_of_the_prefix("203.0.113.0/24", "198.18.0.2:5060", Verdict::OtherAddress)]
#[case::ipv6_and_an_ipv4_prefix("0.0.0.0/0", "[2001:db8::2]:5060", Verdict::OtherAddress)]
#[case::in_an_ipv6_prefix("2001:db8:77::/48", "[2001:db8:77::1]:5060", Verdict::Redirected)]
#[case::outside_of_the_ipv6_prefix("2001:db8:77::/48", "[2001:db8:78::1]:5060", Verdict::OtherAddress)]
fn new_call_is_refused_only_at_shielded_addresses(
    #[case] shielded: &str,
    #[case] destination: &str,
    #[case] verdict: Verdict,
) {
    let shielded = match shielded {
        "local" => Shielded::Local,
        "any" => Shielded::Any,
        prefix => Shielded::Prefixes([prefix.parse().unwrap()].into()),
    };
    let mut rig = Rig::shielding(&shielded);
    rig.own(|owned| _ = owned.addresses.insert(words("198.18.0.255"), AddressKind::Broadcast as u32));
    assert_eq!(rig.verdict(&to(destination)), verdict);
}

#[rstest]
#[case::own("198.18.0.2:5060", Verdict::OwnSource)]
#[case::own_on_another_interface("198.18.9.9:5060", Verdict::OwnSource)]
#[case::directed_broadcast("198.18.0.255:5060", Verdict::NotUnicast)]
#[case::loopback("127.0.0.1:5060", Verdict::NotUnicast)]
fn nothing_is_answered_to_an_address_that_cannot_have_asked(#[case] source: &str, #[case] verdict: Verdict) {
    for shielded in [Shielded::Local, Shielded::Any] {
        let mut rig = Rig::shielding(&shielded);
        rig.own(|owned| {
            owned.addresses.insert(words("198.18.9.9"), AddressKind::Own as u32);
            owned.addresses.insert(words("198.18.0.255"), AddressKind::Broadcast as u32);
        });
        assert_eq!(rig.verdict(&packet(source, "198.18.0.2:5060", &new_invite())), verdict);
    }
    let mut rig = Rig::in_maintenance();
    let from_itself = packet("[2001:db8::2]:5060", "[2001:db8::2]:5060", &new_invite());
    assert_eq!(rig.verdict(&from_itself), Verdict::OwnSource);
    let loopback = packet("[::1]:5060", "[2001:db8::2]:5060", &new_invite());
    assert_eq!(rig.verdict(&loopback), Verdict::NotUnicast);
}

#[test]
fn call_without_tag_is_refused_only_at_untagged_addresses_where_tags_are_stripped() {
    let mut rig = Rig::in_maintenance();
    let ifindex = TEST_QUEUE.ifindex;
    rig.set_interface(InterfaceState::STRIPS_VLAN_TAGS, 1500);
    rig.own(|owned| {
        add_vlan(owned, (DOT1Q, 100), None);
        owned.addresses.insert(words("198.18.1.2"), AddressKind::Own as u32);
        owned.untagged.insert(UntaggedAddress { address: words("198.18.0.2"), ifindex, reserved: 0 });
    });
    assert_eq!(rig.verdict(&to("198.18.0.2:5060")), Verdict::Redirected);
    assert_eq!(rig.verdict(&to("198.18.1.2:5060")), Verdict::VlanStripped);
    assert_eq!(rig.verdict(&to("[2001:db8::2]:5060")), Verdict::VlanStripped);
    // The tag that is left may be the inner one of two.
    assert_eq!(rig.verdict(&tagged(&[(DOT1Q, 100)])), Verdict::VlanStripped);
    assert_eq!(rig.verdict(&to("198.18.5.5:5060")), Verdict::OtherAddress);
    rig.set_interface(0, 1500);
    assert_eq!(rig.verdict(&tagged(&[(DOT1Q, 100)])), Verdict::Redirected);
}

#[test]
fn backup_port_of_a_bond_refuses_nothing() {
    let mut rig = Rig::in_maintenance();
    rig.set_interface(InterfaceState::BACKUP, 1500);
    assert_eq!(rig.verdict(&to("198.18.0.2:5060")), Verdict::Backup);
}

#[test]
fn packet_longer_than_the_mtu_has_been_merged_and_passes() {
    let mut rig = Rig::in_maintenance();
    let message = new_invite();
    let length = 20 + 8 + message.len() as u32;
    for (mtu, verdict) in [(length, Verdict::Redirected), (length - 1, Verdict::Merged)] {
        rig.set_interface(0, mtu);
        assert_eq!(rig.verdict(&ipv4(&message)), verdict, "MTU {mtu}, packet of {length} bytes");
        let ipv6 = bytes(&ipv6_frame(&message));
        rig.set_interface(0, mtu + 20);
        assert_eq!(rig.verdict(&ipv6), verdict, "MTU {mtu}, IPv6 packet of {length} bytes");
    }
}

#[rstest]
#[case::alone(new_invite(), Verdict::Redirected)]
#[case::two(new_invite().repeat(2), Verdict::Merged)]
#[case::with_its_body(with_body("Content-Length: 3", "v=0"), Verdict::Redirected)]
#[case::with_more_than_its_body(with_body("Content-Length: 3", "v=0\r\n"), Verdict::Merged)]
#[case::with_a_body_of_unknown_length(with_body("X: y", "v=0"), Verdict::Merged)]
#[case::with_a_body_and_compact_length(with_body("l:3", "v=0"), Verdict::Redirected)]
#[case::two_with_bodies(with_body("l: 3", "v=0").repeat(2), Verdict::Merged)]
fn message_with_bytes_beyond_its_body_passes_in_generic_mode(#[case] message: Vec<u8>, #[case] generic: Verdict) {
    let mut rig = Rig::in_maintenance();
    assert_eq!(rig.verdict(&ipv4(&message)), Verdict::Redirected, "in native mode");
    rig.set_interface(InterfaceState::GENERIC, 1500);
    assert_eq!(rig.verdict(&ipv4(&message)), generic, "in generic mode");
}

/// Returns a new INVITE with a header about its body, and the body.
fn with_body(header: &str, body: &str) -> Vec<u8> {
    let message = String::from_utf8(invite(&format!("To: <sip:bob@b>\r\n{header}"))).unwrap();
    format!("{}{body}", message.replace("Content-Length: 0\r\n", "")).into_bytes()
}
