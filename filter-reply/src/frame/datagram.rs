//! The headers of a frame that came: Ethernet, VLAN tags, IPv4 or IPv6, UDP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Unanswered;

/// UDP, as IPv4's protocol and IPv6's next header.
pub(crate) const UDP: u8 = 17;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IEEE 802.1Q and 802.1ad.
const ETHERTYPES_VLAN: [u16; 2] = [0x8100, 0x88a8];
const MAX_VLAN_TAGS: usize = 2;

/// Hop-by-hop options, routing and destination options (RFC 8200 section 4).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION_OPTIONS: u8 = 60;
/// RFC 8200 section 4.1 has at most four of these; whoever sends more means no good.
const MAX_EXTENSION_HEADERS: usize = 8;

/// A UDP datagram in its frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'f> {
    /// The Ethernet header with its VLAN tags: 14, 18 or 22 octets.
    pub(crate) link: &'f [u8],
    /// The traffic class, called TOS in IPv4: DSCP and ECN (RFC 2474, RFC 3168).
    pub(crate) traffic_class: u8,
    pub(crate) source: SocketAddr,
    /// Of the same family as `source`.
    pub(crate) destination: SocketAddr,
    /// The payload, as long as the UDP header says.
    pub(crate) message: &'f [u8],
}

/// An IP packet whose headers have been read.
struct Packet<'f> {
    traffic_class: u8,
    source: IpAddr,
    destination: IpAddr,
    payload: &'f [u8],
}

impl<'f> Datagram<'f> {
    /// Reads `frame`. Checksums are not looked at: the kernel has, or on a veth there are none yet.
    pub(crate) fn read(frame: &'f [u8]) -> Result<Self, Unanswered> {
        let (link, ethertype, rest) = link(frame).ok_or(Unanswered::Unreadable)?;
        let packet = match ethertype {
            ETHERTYPE_IPV4 => ipv4(rest),
            ETHERTYPE_IPV6 => ipv6(rest),
            _ => None,
        };
        let packet = packet.ok_or(Unanswered::Unreadable)?;
        let (ports, message) = udp(packet.payload).ok_or(Unanswered::Unreadable)?;
        // The group bit of either Ethernet address (IEEE 802 section 8.2).
        let is_group = |at: usize| link.get(at).is_none_or(|octet| octet & 1 == 1);
        if is_group(0) || is_group(6) || !is_host(packet.source) || !is_host(packet.destination) {
            return Err(Unanswered::NotUnicast);
        }
        if ports.0 == 0 {
            return Err(Unanswered::SourcePort);
        }
        Ok(Self {
            link,
            traffic_class: packet.traffic_class,
            source: SocketAddr::new(packet.source, ports.0),
            destination: SocketAddr::new(packet.destination, ports.1),
            message,
        })
    }
}

fn is_host(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

/// The Ethernet header with its VLAN tags, the type of what follows, and that.
#[inline(always)]
fn link(frame: &[u8]) -> Option<(&[u8], u16, &[u8])> {
    let mut len = 14;
    for tags in 0..=MAX_VLAN_TAGS {
        let ethertype = be16(frame, len - 2)?;
        if tags == MAX_VLAN_TAGS || !ETHERTYPES_VLAN.contains(&ethertype) {
            let (link, rest) = frame.split_at_checked(len)?;
            return Some((link, ethertype, rest));
        }
        len += 4;
    }
    None
}

/// An IPv4 packet that is no fragment (RFC 791 section 3.1).
#[inline(always)]
fn ipv4(packet: &[u8]) -> Option<Packet<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let header_len = usize::from(header[0] & 0xf) * 4;
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    if header[0] >> 4 != 4 || header_len < header.len() || is_fragment || header[9] != UDP {
        return None;
    }
    Some(Packet {
        traffic_class: header[1],
        source: Ipv4Addr::from([header[12], header[13], header[14], header[15]]).into(),
        destination: Ipv4Addr::from([header[16], header[17], header[18], header[19]]).into(),
        payload: packet.get(header_len..total_len)?,
    })
}

/// An IPv6 packet, its extension headers skipped (RFC 8200).
#[inline(always)]
fn ipv6(packet: &[u8]) -> Option<Packet<'_>> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let address = |at: usize| header.get(at..)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into());
    Some(Packet {
        traffic_class: header[0] << 4 | header[1] >> 4,
        source: address(8)?,
        destination: address(24)?,
        payload: skip_extensions(header[6], rest.get(..payload_len)?)?,
    })
}

/// What follows the extension headers of `payload`, the first of which is `next`. `None`: not UDP.
fn skip_extensions(mut next: u8, mut payload: &[u8]) -> Option<&[u8]> {
    for _ in 0..=MAX_EXTENSION_HEADERS {
        match next {
            UDP => return Some(payload),
            HOP_BY_HOP | DESTINATION_OPTIONS => {}
            // With segments left, the packet is on its way to somebody else.
            ROUTING if payload.get(3) == Some(&0) => {}
            _ => return None,
        }
        next = *payload.first()?;
        let len = (usize::from(*payload.get(1)?) + 1) * 8;
        payload = payload.get(len..)?;
    }
    None
}

/// Source port, destination port and payload of a UDP datagram (RFC 768); its length bounds the payload, not the packet's.
#[inline(always)]
fn udp(datagram: &[u8]) -> Option<((u16, u16), &[u8])> {
    let len = usize::from(be16(datagram, 4)?);
    Some(((be16(datagram, 0)?, be16(datagram, 2)?), datagram.get(8..len)?))
}

/// Two octets in network byte order.
#[inline(always)]
fn be16(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|octets| u16::from_be_bytes(*octets))
}
