//! The headers of the frame that goes back: Ethernet and VLAN mirrored, IPv4 or IPv6, UDP, with real checksums.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::Sum;
use super::datagram::{Datagram, UDP};
use crate::Unanswered;

/// RFC 1700 has this as the default TTL; it is Linux's too.
const HOP_LIMIT: u8 = 64;

/// How long the headers of a response are, in octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnvelopeLen {
    link: usize,
    ip: usize,
}

const UDP_LEN: usize = 8;

impl EnvelopeLen {
    /// All of them.
    pub(crate) const fn total(self) -> usize {
        self.link + self.packet()
    }

    /// Without Ethernet and VLAN: what the MTU counts.
    pub(crate) const fn packet(self) -> usize {
        self.ip + UDP_LEN
    }
}

/// How long the headers of the response to `request` are: no IPv4 options, no IPv6 extension headers.
pub(crate) const fn len(request: &Datagram<'_>) -> EnvelopeLen {
    let ip = if request.source.is_ipv4() { 20 } else { 40 };
    EnvelopeLen { link: request.link.len(), ip }
}

/// Writes the headers of the response to `request` before the message of `message_len` octets that `out` has after
/// them, and returns the length of the frame. The response goes from where `request` went to, to the host that it
/// came from, port `reply_port`.
///
/// # Errors
///
/// [`Unanswered::TooLong`]: `out` is too short, or the length does not fit its field.
pub(crate) fn write(
    out: &mut [u8],
    request: &Datagram<'_>,
    reply_port: u16,
    message_len: usize,
) -> Result<usize, Unanswered> {
    let len = len(request);
    let total = len.total() + message_len;
    let out = out.get_mut(..total).ok_or(Unanswered::TooLong)?;
    let packet_len = u16::try_from(total - len.link).map_err(|_| Unanswered::TooLong)?;
    let (link, packet) = out.split_at_mut_checked(len.link).ok_or(Unanswered::TooLong)?;
    mirror_link(link, request.link);

    let ends = (request.destination.ip(), request.source.ip());
    let ports = (request.destination.port(), reply_port);
    // RFC 3168 section 5: who does not react to congestion is not ECN-capable. The DSCP is the request's: what the
    // network promises to signalling holds for both directions (Linux answers in the same way, `ip_send_unicast_reply`).
    let traffic_class = request.traffic_class & !0b11;
    match ends {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (ip, datagram) = packet.split_first_chunk_mut().ok_or(Unanswered::TooLong)?;
            *ip = ipv4_header(traffic_class, packet_len, from, to);
            let addresses = Sum::default().add(&from.octets()).add(&to.octets());
            write_udp(datagram, ports, addresses)?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let (ip, datagram) = packet.split_first_chunk_mut().ok_or(Unanswered::TooLong)?;
            let addresses = Sum::default().add(&from.octets()).add(&to.octets());
            let payload_len = write_udp(datagram, ports, addresses)?;
            *ip = ipv6_header(traffic_class, payload_len, from, to);
        }
        _ => return Err(Unanswered::Unreadable),
    }
    Ok(total)
}

/// The Ethernet header that goes back: the addresses swapped, the VLAN tags as they came. `out` is as long as `link`.
fn mirror_link(out: &mut [u8], link: &[u8]) {
    let (Some((out, out_tags)), Some((link, tags))) = (out.split_first_chunk_mut(), link.split_first_chunk()) else {
        return;
    };
    *out = swapped(link);
    // Hardly ever there are some: a copy of no octets is a call all the same.
    if !tags.is_empty() {
        out_tags.copy_from_slice(tags);
    }
}

/// An Ethernet header without tags, or the beginning of one with them, for the way back.
fn swapped(link: &[u8; 14]) -> [u8; 14] {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, type_high, type_low] = *link;
    [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5, type_high, type_low]
}

fn ipv4_header(traffic_class: u8, total_len: u16, from: Ipv4Addr, to: Ipv4Addr) -> [u8; 20] {
    let [len_high, len_low] = total_len.to_be_bytes();
    let [f0, f1, f2, f3] = from.octets();
    let [t0, t1, t2, t3] = to.octets();
    // Identification 0 with "don't fragment" (RFC 6864 section 4.1).
    let mut header = [
        0x45,
        traffic_class,
        len_high,
        len_low,
        0,
        0,
        0x40,
        0,
        HOP_LIMIT,
        UDP,
        0,
        0, //
        f0,
        f1,
        f2,
        f3,
        t0,
        t1,
        t2,
        t3,
    ];
    [header[10], header[11]] = Sum::default().add(&header).finish();
    header
}

/// The flow label is zero: not labelled (RFC 6437 section 2).
fn ipv6_header(traffic_class: u8, payload_len: u16, from: Ipv6Addr, to: Ipv6Addr) -> [u8; 40] {
    let [len_high, len_low] = payload_len.to_be_bytes();
    let start = [0x60 | traffic_class >> 4, traffic_class << 4, 0, 0, len_high, len_low, UDP, HOP_LIMIT];
    let mut header = [0; 40];
    header[..8].copy_from_slice(&start);
    header[8..24].copy_from_slice(&from.octets());
    header[24..].copy_from_slice(&to.octets());
    header
}

/// Writes the UDP header at the beginning of `datagram`, whose message is there already. The length of the datagram.
///
/// `addresses` is the sum of the addresses, which with protocol and length make the pseudo-header (RFC 768, RFC 8200
/// section 8.1).
fn write_udp(datagram: &mut [u8], ports: (u16, u16), addresses: Sum) -> Result<u16, Unanswered> {
    let len = u16::try_from(datagram.len()).map_err(|_| Unanswered::TooLong)?;
    let (header, message) = datagram.split_first_chunk_mut::<UDP_LEN>().ok_or(Unanswered::TooLong)?;
    let [from_high, from_low] = ports.0.to_be_bytes();
    let [to_high, to_low] = ports.1.to_be_bytes();
    let [len_high, len_low] = len.to_be_bytes();
    *header = [from_high, from_low, to_high, to_low, len_high, len_low, 0, 0];
    let checksum = match addresses.add(&[0, UDP, len_high, len_low]).add(header).add(message).finish() {
        // Zero means that there is none (RFC 768), which IPv6 forbids; ones' complement has another zero.
        [0, 0] => [0xff, 0xff],
        checksum => checksum,
    };
    [header[6], header[7]] = checksum;
    Ok(len)
}
