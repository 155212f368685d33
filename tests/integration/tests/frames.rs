//! Frames that no socket would send: VLAN tags, IP options, extension headers, padding; and how they are answered.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use filter_lab::frame::{DOT1AD, DOT1Q, Frame, Tag};
use filter_lab::lab::Lab;
use filter_lab::message::Message;
use filter_lab::packet::Packet;
use filter_lab::request::Request;
use filter_lab::wire::{End, Family};
use rstest::rstest;

/// The port that the caller claims to have.
const CALLER_PORT: u16 = 5062;

/// A frame from the caller to the proxy with a new INVITE in it, and the INVITE.
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

/// Sends `frame` and returns the refusal that comes back, which has to mirror the frame in all its addresses.
fn refusal(lab: &Lab, frame: &Frame, invite: &Request) -> Result<Packet> {
    let wire = lab.frames()?;
    wire.send(&frame.to_bytes()?)?;
    let packet = wire.receive_packet(Duration::from_secs(2), |packet| packet.source == frame.destination)?;
    let packet = packet.context("no answer to the frame")?;
    assert_eq!((packet.source_mac, packet.destination_mac), (frame.destination_mac, frame.source_mac));
    assert_eq!(packet.destination, frame.source);
    assert_eq!(packet.tags, frame.tags);
    let response = Message::parse(&packet.payload)?;
    assert_eq!(response.status(), Some(503), "{response}");
    assert_eq!(response.header("Call-ID"), Some(invite.header("Call-ID")));
    assert!(!lab.server.saw(invite.header("Call-ID")));
    Ok(packet)
}

fn on(mode: &str) -> Result<(filter_lab::daemon::Daemon, Lab)> {
    let lab = Lab::new()?;
    let daemon = lab.start(mode)?;
    lab.filter.done(&["on"])?;
    Ok((daemon, lab))
}

#[rstest]
#[case::dot1q_ipv4(Family::V4, "native", &[(DOT1Q, 0x602a)])]
#[case::dot1q_ipv6(Family::V6, "native", &[(DOT1Q, 0x602a)])]
#[case::qinq_ipv4(Family::V4, "native", &[(DOT1AD, 7), (DOT1Q, 42)])]
#[case::qinq_ipv6(Family::V6, "native", &[(DOT1AD, 7), (DOT1Q, 42)])]
#[case::qinq_of_old(Family::V4, "native", &[(DOT1Q, 7), (DOT1Q, 42)])]
#[case::dot1q_generic(Family::V4, "generic", &[(DOT1Q, 0x602a)])]
#[case::qinq_generic(Family::V6, "generic", &[(DOT1AD, 7), (DOT1Q, 42)])]
fn a_refusal_goes_back_into_the_vlan_it_came_from(
    #[case] family: Family,
    #[case] mode: &str,
    #[case] tags: &[Tag],
) -> Result<()> {
    let (_daemon, lab) = on(mode)?;
    let (mut frame, invite) = invite_frame(&lab, family);
    frame.tags = tags.to_vec();
    refusal(&lab, &frame, &invite)?;
    Ok(())
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
fn a_call_in_an_unusual_frame_is_refused(#[case] family: Family, #[case] change: fn(&mut Frame)) -> Result<()> {
    let (_daemon, lab) = on("native")?;
    let (mut frame, invite) = invite_frame(&lab, family);
    change(&mut frame);
    refusal(&lab, &frame, &invite)?;
    Ok(())
}

#[test]
fn a_frame_with_three_tags_passes() -> Result<()> {
    let (_daemon, lab) = on("native")?;
    let (mut frame, _) = invite_frame(&lab, Family::V4);
    frame.tags = vec![(DOT1AD, 1), (DOT1Q, 2), (DOT1Q, 3)];
    let before = lab.filter.stats()?.verdict("not_ip")?;
    let wire = lab.frames()?;
    wire.send(&frame.to_bytes()?)?;
    let answer = wire.receive_packet(Duration::from_millis(300), |packet| packet.source == frame.destination)?;
    assert_eq!(answer, None);
    assert!(lab.filter.stats()?.verdict("not_ip")? > before);
    Ok(())
}

#[test]
fn a_call_to_a_multicast_address_is_not_answered() -> Result<()> {
    let (_daemon, lab) = on("native")?;
    let (mut frame, _) = invite_frame(&lab, Family::V4);
    frame.destination_mac = [0x01, 0, 0x5e, 0, 0x01, 0x4b];
    // sip.mcast.net (RFC 3261 22.1.1), for which a reply would come from an address that is no host's.
    frame.destination.set_ip([224, 0, 1, 75].into());
    let wire = lab.frames()?;
    wire.send(&frame.to_bytes()?)?;
    let answer = wire.receive_packet(Duration::from_millis(300), |packet| packet.destination == frame.source)?;
    assert_eq!(answer, None);
    assert_eq!(lab.filter.stats()?.verdict("not_unicast")?, 1);
    Ok(())
}

#[test]
fn without_rport_the_refusal_goes_to_the_port_in_the_via() -> Result<()> {
    let (_daemon, lab) = on("native")?;
    let (mut frame, mut invite) = invite_frame(&lab, Family::V4);
    let via = invite.header("Via").replace(";rport", "").replace(":5062", ":5099");
    invite.set("Via", &via);
    frame.payload = invite.to_bytes();
    let wire = lab.frames()?;
    wire.send(&frame.to_bytes()?)?;
    let answer = wire.receive_packet(Duration::from_secs(2), |packet| packet.source == frame.destination)?;
    let answer = answer.context("no answer")?;
    assert_eq!(answer.destination, SocketAddr::new(frame.source.ip(), 5099));
    Ok(())
}

#[test]
fn a_reply_leaves_by_the_interface_of_the_filter() -> Result<()> {
    let (_daemon, lab) = on("native")?;
    let caller = lab.caller(Family::V4)?;
    let sent = || lab.interface_counter(End::Proxy, "tx", "packets");
    lab.is_refused(&caller)?;
    let before = sent()?;
    for _ in 0..5 {
        lab.is_refused(&caller)?;
    }
    assert!(sent()? >= before + 5);
    Ok(())
}
