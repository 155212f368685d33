//! The headers around a response: Ethernet and VLAN tags as in the request, IPv4 or IPv6, and UDP, with real checksums.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use filter_common::net::{EthernetHeader, IPPROTO_UDP, Ipv4Header, Ipv6Header, UdpHeader};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::checksum::Checksum;
use super::datagram::Datagram;
use crate::Unanswered;

/// TTL and hop limit: the default of RFC 1700 and of Linux.
const HOP_LIMIT: u8 = 64;
/// Version 4 and a header of five words, without options.
const VERSION_AND_LEN: u8 = 0x45;
/// "Don't fragment" (`IP_DF`).
const DONT_FRAGMENT: u16 = 0x4000;

/// Length in bytes of the headers around a response: no IPv4 options, no IPv6 extension headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnvelopeLen {
    link: usize,
    ip: usize,
}

impl EnvelopeLen {
    /// Returns the length for the response to `request`.
    #[inline(always)]
    pub(crate) const fn new(request: &Datagram<'_>) -> Self {
        let ip = if request.source.is_ipv4() { Ipv4Header::LEN } else { Ipv6Header::LEN };
        Self { link: EthernetHeader::LEN + request.vlan_tags.len(), ip }
    }

    /// Returns the length of all headers.
    pub(crate) const fn total(self) -> usize {
        self.link + self.packet()
    }

    /// Returns the length without Ethernet and VLAN tags, which the MTU does not count.
    pub(crate) const fn packet(self) -> usize {
        self.ip + UdpHeader::LEN
    }
}

/// Writes the headers of the response to `request` to the beginning of `out`. Returns the length of the frame in bytes.
///
/// The message, of `message_len` bytes, is already in `out`, after the [headers](EnvelopeLen::total). The response goes
/// from the destination of `request` to its source, port `reply_port`.
///
/// # Errors
///
/// [`Unanswered::TooLong`] if `out` is too short, or the length does not fit into a header.
#[inline(always)]
pub(crate) fn write(
    out: &mut [u8],
    request: &Datagram<'_>,
    reply_port: u16,
    message_len: usize,
) -> Result<usize, Unanswered> {
    let len = EnvelopeLen::new(request);
    let total = len.total() + message_len;
    let out = out.get_mut(..total).ok_or(Unanswered::TooLong)?;
    let packet_len = u16::try_from(total - len.link).map_err(|_overflow| Unanswered::TooLong)?;
    let (link, packet) = out.split_at_mut_checked(len.link).ok_or(Unanswered::TooLong)?;
    write_link(link, request)?;

    let ports = (request.destination.port(), reply_port);
    // A sender that does not react to congestion is not ECN-capable (RFC 3168 section 5). The DSCP is the request's:
    // what the network promises to signalling holds for both directions. Linux replies the same way
    // (`ip_send_unicast_reply`).
    let traffic_class = request.traffic_class & !0b11;
    match (request.destination.ip(), request.source.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (ip, datagram) = Ipv4Header::mut_from_prefix(packet).map_err(|_size| Unanswered::TooLong)?;
            *ip = ipv4_header(traffic_class, packet_len, from, to);
            let addresses = Checksum::default().add(&from.octets()).add(&to.octets());
            write_udp(datagram, ports, addresses)?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let (ip, datagram) = Ipv6Header::mut_from_prefix(packet).map_err(|_size| Unanswered::TooLong)?;
            let addresses = Checksum::default().add(&from.octets()).add(&to.octets());
            let payload_len = write_udp(datagram, ports, addresses)?;
            *ip = ipv6_header(traffic_class, payload_len, from, to);
        }
        _ => return Err(Unanswered::Unreadable),
    }
    Ok(total)
}

/// Writes the Ethernet header with swapped addresses, and the VLAN tags of the request.
#[inline(always)]
fn write_link(out: &mut [u8], request: &Datagram<'_>) -> Result<(), Unanswered> {
    let (ethernet, vlan_tags) = EthernetHeader::mut_from_prefix(out).map_err(|_size| Unanswered::TooLong)?;
    let EthernetHeader { destination, source, ethertype } = request.ethernet;
    *ethernet = EthernetHeader { destination: source, source: destination, ethertype };
    // Frames seldom have tags, and a copy of no bytes is a call too.
    if !request.vlan_tags.is_empty() {
        vlan_tags.copy_from_slice(request.vlan_tags);
    }
    Ok(())
}

fn ipv4_header(traffic_class: u8, total_len: u16, from: Ipv4Addr, to: Ipv4Addr) -> Ipv4Header {
    let mut header = Ipv4Header {
        version_and_len: VERSION_AND_LEN,
        traffic_class,
        total_len: total_len.into(),
        // An unfragmentable packet needs no identification (RFC 6864 section 4.1).
        identification: 0.into(),
        fragment: DONT_FRAGMENT.into(),
        ttl: HOP_LIMIT,
        protocol: IPPROTO_UDP,
        checksum: [0; 2],
        source: from.octets(),
        destination: to.octets(),
    };
    header.checksum = Checksum::default().add(header.as_bytes()).finish();
    header
}

fn ipv6_header(traffic_class: u8, payload_len: u16, from: Ipv6Addr, to: Ipv6Addr) -> Ipv6Header {
    // A flow label of zero means that the packet is not labelled (RFC 6437 section 2).
    Ipv6Header {
        version_class_flow: ((6 << 28) | (u32::from(traffic_class) << 20)).into(),
        payload_len: payload_len.into(),
        next_header: IPPROTO_UDP,
        hop_limit: HOP_LIMIT,
        source: from.octets(),
        destination: to.octets(),
    }
}

/// Writes the UDP header at the beginning of `datagram`, before its message. Returns the length of the datagram.
///
/// `addresses` is the checksum of the IP addresses. With protocol and length, they are the pseudo-header (RFC 768,
/// RFC 8200 section 8.1).
#[inline(always)]
fn write_udp(datagram: &mut [u8], ports: (u16, u16), addresses: Checksum) -> Result<u16, Unanswered> {
    let len = u16::try_from(datagram.len()).map_err(|_overflow| Unanswered::TooLong)?;
    let (out, message) = UdpHeader::mut_from_prefix(datagram).map_err(|_size| Unanswered::TooLong)?;
    let mut header =
        UdpHeader { source_port: ports.0.into(), destination_port: ports.1.into(), len: len.into(), checksum: [0; 2] };
    let [len_high, len_low] = len.to_be_bytes();
    let pseudo_header = addresses.add(&[0, IPPROTO_UDP, len_high, len_low]);
    header.checksum = match pseudo_header.add(header.as_bytes()).add(message).finish() {
        // Zero means "no checksum" (RFC 768), which IPv6 forbids. Ones' complement has a second zero.
        [0, 0] => [0xff, 0xff],
        checksum => checksum,
    };
    *out = header;
    Ok(len)
}
