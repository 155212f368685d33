//! The headers of a frame: Ethernet, VLAN tags, IPv4 or IPv6, UDP.
//!
//! [`UdpDatagram::find`] is written once and runs twice: in the XDP program, over a frame in the driver's memory, and
//! in the responder, over its copy of the frame. So the responder can read each frame that the program redirects.
//!
//! All numbers of a header are in network byte order, and no header is aligned in its frame: VLAN tags move what
//! follows by four bytes, and the Ethernet header alone is 14 bytes long.

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Ethertype of IPv4.
pub const ETH_P_IP: u16 = 0x0800;
/// Ethertype of a VLAN tag (IEEE 802.1Q).
pub const ETH_P_8021Q: u16 = 0x8100;
/// Ethertype of IPv6.
pub const ETH_P_IPV6: u16 = 0x86dd;
/// Ethertype of a service provider's VLAN tag (IEEE 802.1ad), which a customer's tag may follow.
pub const ETH_P_8021AD: u16 = 0x88a8;

/// IPv6 next header: hop-by-hop options (RFC 8200 section 4.3).
pub const IPPROTO_HOPOPTS: u8 = 0;
/// IPv4 protocol and IPv6 next header: UDP.
pub const IPPROTO_UDP: u8 = 17;
/// IPv6 next header: routing (RFC 8200 section 4.4).
pub const IPPROTO_ROUTING: u8 = 43;
/// IPv6 next header: fragment (RFC 8200 section 4.5).
pub const IPPROTO_FRAGMENT: u8 = 44;
/// IPv6 next header: destination options (RFC 8200 section 4.6).
pub const IPPROTO_DSTOPTS: u8 = 60;

/// Maximum number of VLAN tags: a service provider's and a customer's.
pub const MAX_VLAN_TAGS: usize = 2;
/// Maximum number of IPv6 extension headers: each of the three kinds that are skipped, and destination options a second
/// time (RFC 8200 section 4.1).
pub const MAX_EXTENSION_HEADERS: usize = 4;

/// The bits of [`Ipv4Header::fragment`] that a fragment has: "more fragments" or an offset (`IP_MF | IP_OFFSET`).
pub const FRAGMENT_MASK: u16 = 0x3fff;

/// An Ethernet header without VLAN tags.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct EthernetHeader {
    /// Destination MAC address.
    pub destination: [u8; 6],
    /// Source MAC address.
    pub source: [u8; 6],
    /// Type of what follows: a VLAN tag or the payload.
    pub ethertype: U16,
}

/// A VLAN tag after the ethertype that announces it (IEEE 802.1Q section 9).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct VlanTag {
    /// Priority and VLAN id.
    pub control: U16,
    /// Type of what follows: another tag or the payload.
    pub ethertype: U16,
}

/// An IPv4 header without options (RFC 791 section 3.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct Ipv4Header {
    /// Version in the upper four bits, header length in words of four bytes in the lower.
    pub version_and_len: u8,
    /// DSCP and ECN (RFC 2474, RFC 3168).
    pub traffic_class: u8,
    /// Length of header and payload in bytes.
    pub total_len: U16,
    /// Identification, the same in all fragments of a packet.
    pub identification: U16,
    /// Flags in the upper three bits, offset of the fragment in the others.
    pub fragment: U16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Checksum of the header.
    pub checksum: [u8; 2],
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

/// An IPv6 header (RFC 8200 section 3).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct Ipv6Header {
    /// Version in the upper four bits, traffic class in the next eight, flow label in the others.
    pub version_class_flow: U32,
    /// Length of extension headers and payload in bytes.
    pub payload_len: U16,
    /// Type of the first extension header, or of the payload.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

/// The beginning of an IPv6 extension header: of hop-by-hop options, destination options or routing (RFC 8200 section
/// 4).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct ExtensionHeader {
    /// Type of the next extension header, or of the payload.
    pub next_header: u8,
    /// Length in units of eight bytes, without the first eight.
    pub units: u8,
    /// Type of the routing header; options in the others.
    pub routing_type: u8,
    /// Number of addresses that the packet still has to visit, in a routing header; options in the others.
    pub segments_left: u8,
}

/// A UDP header (RFC 768).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct UdpHeader {
    /// Source port.
    pub source_port: U16,
    /// Destination port.
    pub destination_port: U16,
    /// Length of header and payload in bytes.
    pub len: U16,
    /// Checksum of the datagram and a pseudo-header.
    pub checksum: [u8; 2],
}

impl EthernetHeader {
    /// Header length in bytes, without VLAN tags.
    pub const LEN: usize = size_of::<Self>();

    /// Returns whether the frame goes from one station to one station.
    ///
    /// The lowest bit of the first byte is set in group addresses (IEEE 802 section 8.2).
    #[inline(always)]
    pub const fn is_unicast(&self) -> bool {
        (self.destination[0] | self.source[0]) & 1 == 0
    }
}

impl VlanTag {
    /// Tag length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// Returns the VLAN id, 0 to 4095. A tag with the id 0 carries only a priority (IEEE 802.1Q section 9.6).
    #[inline(always)]
    pub const fn id(&self) -> u16 {
        self.control.get() & 0x0fff
    }
}

impl Ipv4Header {
    /// Header length in bytes, without options.
    pub const LEN: usize = size_of::<Self>();

    /// Returns the IP version: 4 in a valid header.
    #[inline(always)]
    pub const fn version(&self) -> u8 {
        self.version_and_len >> 4
    }

    /// Returns the header length in bytes, with options: 0 to 60, and at least 20 in a valid header.
    #[inline(always)]
    pub const fn header_len(&self) -> usize {
        (self.version_and_len & 0xf) as usize * 4
    }

    /// Returns whether the packet is a fragment.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.fragment.get() & FRAGMENT_MASK != 0
    }

    /// Returns whether source and destination are both unicast addresses.
    #[inline(always)]
    pub const fn is_unicast(&self) -> bool {
        is_unicast_ipv4(self.source) && is_unicast_ipv4(self.destination)
    }
}

impl Ipv6Header {
    /// Header length in bytes, without extension headers.
    pub const LEN: usize = size_of::<Self>();

    /// Returns the IP version: 6 in a valid header.
    #[inline(always)]
    pub const fn version(&self) -> u8 {
        (self.version_class_flow.get() >> 28) as u8
    }

    /// Returns the traffic class: DSCP and ECN (RFC 2474, RFC 3168).
    #[inline(always)]
    pub const fn traffic_class(&self) -> u8 {
        (self.version_class_flow.get() >> 20) as u8
    }

    /// Returns whether source and destination are both unicast addresses.
    #[inline(always)]
    pub const fn is_unicast(&self) -> bool {
        is_unicast_ipv6(self.source) && is_unicast_ipv6(self.destination)
    }
}

impl ExtensionHeader {
    /// Returns the length of the whole extension header in bytes: 8 to 2048.
    #[inline(always)]
    pub const fn header_len(&self) -> usize {
        (self.units as usize + 1) * 8
    }
}

impl UdpHeader {
    /// Header length in bytes.
    pub const LEN: usize = size_of::<Self>();
}

/// Returns whether an IPv4 address can be that of a host on a wire, so that a response can go to it or come from it.
///
/// 0.0.0.0/8 is "this host", and 127.0.0.0/8 is the host itself; from 224.0.0.0 on, addresses are multicast, reserved
/// or broadcast (RFC 6890).
#[inline(always)]
pub const fn is_unicast_ipv4(address: [u8; 4]) -> bool {
    address[0] != 0 && address[0] < 224 && address[0] != 127
}

/// Returns whether an IPv6 address can be that of a host on a wire, so that a response can go to it or come from it.
///
/// `ff00::/8` is multicast, `::` is the unspecified address, and `::1` is the host itself (RFC 4291 section 2.4 and
/// 2.5.3).
#[inline(always)]
pub const fn is_unicast_ipv6(address: [u8; 16]) -> bool {
    // Compared as a number: if single bytes were, LLVM would copy the address to the BPF stack piece by piece,
    // unaligned.
    let bits = u128::from_be_bytes(address);
    bits >> 120 != 0xff && bits > 1
}

/// A frame of which [`UdpDatagram::find`] reads the headers.
pub trait Frame {
    /// Reads a header at `offset`. Returns `None` if the frame ends before the header does.
    fn read<T: FromBytes>(&self, offset: usize) -> Option<T>;
}

impl Frame for [u8] {
    #[inline(always)]
    fn read<T: FromBytes>(&self, offset: usize) -> Option<T> {
        let (header, _) = T::read_from_prefix(self.get(offset..)?).ok()?;
        Some(header)
    }
}

/// The reason why no UDP datagram can be read from a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDatagram {
    /// The frame is neither IPv4 nor IPv6, or has more than [`MAX_VLAN_TAGS`].
    NotIp,
    /// The packet is not UDP, is on its way to another address, or has more than [`MAX_EXTENSION_HEADERS`].
    NotUdp,
    /// The packet is a fragment.
    Fragment,
    /// The headers contradict each other, or the frame ends within them.
    Malformed,
}

/// A UDP datagram in a frame, by the offsets of its headers.
#[derive(Clone, Copy, Debug)]
pub struct UdpDatagram {
    ethertype: u16,
    network: usize,
    transport: usize,
    end: usize,
    udp: UdpHeader,
}

/// The payload of an IP packet, by offsets in the frame.
struct IpPayload {
    start: usize,
    end: usize,
}

impl UdpDatagram {
    /// Finds the UDP datagram in a frame.
    ///
    /// On success, all headers up to UDP are in the frame. The UDP length is not checked yet, see
    /// [`payload_len`](Self::payload_len). Checksums are ignored: on a veth they are not computed yet.
    ///
    /// # Errors
    ///
    /// Returns the reason if there is no datagram, or if its headers cannot be read.
    #[inline(always)]
    pub fn find<F: Frame + ?Sized>(frame: &F) -> Result<Self, NoDatagram> {
        let (ethertype, network) = skip_link(frame)?;
        let payload = match ethertype {
            ETH_P_IP => skip_ipv4(frame, network)?,
            ETH_P_IPV6 => skip_ipv6(frame, network)?,
            _ => return Err(NoDatagram::NotIp),
        };
        let udp = frame.read(payload.start).ok_or(NoDatagram::Malformed)?;
        Ok(Self { ethertype, network, transport: payload.start, end: payload.end, udp })
    }

    /// Returns whether the datagram is in an IPv4 packet rather than an IPv6 packet.
    #[inline(always)]
    pub const fn is_ipv4(&self) -> bool {
        self.ethertype == ETH_P_IP
    }

    /// Returns the offset of the IP header: the length of the Ethernet header and its VLAN tags (14, 18 or 22).
    #[inline(always)]
    pub const fn network_offset(&self) -> usize {
        self.network
    }

    /// Returns the offset of the UDP header.
    #[inline(always)]
    pub const fn transport_offset(&self) -> usize {
        self.transport
    }

    /// Returns the offset of the UDP payload.
    #[inline(always)]
    pub const fn payload_offset(&self) -> usize {
        self.transport + UdpHeader::LEN
    }

    /// Returns the length of the UDP payload in bytes, or `None` if the lengths of UDP and IP contradict each other.
    ///
    /// The UDP length bounds the payload, not the end of the frame, which is padded if it is short.
    #[inline(always)]
    pub const fn payload_len(&self) -> Option<usize> {
        let udp_len = self.udp.len.get() as usize;
        if udp_len < UdpHeader::LEN || self.transport + udp_len > self.end {
            return None;
        }
        Some(udp_len - UdpHeader::LEN)
    }

    /// Returns the UDP payload in `frame`, or `None` if the lengths of UDP, IP and the frame contradict each other.
    #[inline(always)]
    pub fn payload<'f>(&self, frame: &'f [u8]) -> Option<&'f [u8]> {
        let packet = frame.get(..self.end)?;
        packet.get(self.payload_offset()..)?.get(..self.payload_len()?)
    }

    /// Returns the offset of the end of the IP packet by its header. A malformed frame may end earlier.
    #[inline(always)]
    pub const fn packet_end(&self) -> usize {
        self.end
    }

    /// Returns the UDP header.
    #[inline(always)]
    pub const fn udp(&self) -> &UdpHeader {
        &self.udp
    }
}

/// Skips the Ethernet header and its VLAN tags. Returns the ethertype and the offset of the payload.
#[inline(always)]
fn skip_link<F: Frame + ?Sized>(frame: &F) -> Result<(u16, usize), NoDatagram> {
    let ethernet: EthernetHeader = frame.read(0).ok_or(NoDatagram::Malformed)?;
    let mut ethertype = ethernet.ethertype.get();
    let mut offset = EthernetHeader::LEN;
    for _ in 0..MAX_VLAN_TAGS {
        if ethertype != ETH_P_8021Q && ethertype != ETH_P_8021AD {
            break;
        }
        let tag: VlanTag = frame.read(offset).ok_or(NoDatagram::Malformed)?;
        ethertype = tag.ethertype.get();
        offset += VlanTag::LEN;
    }
    Ok((ethertype, offset))
}

/// Skips the IPv4 header at `offset` and its options. Returns the UDP datagram after it.
#[inline(always)]
fn skip_ipv4<F: Frame + ?Sized>(frame: &F, offset: usize) -> Result<IpPayload, NoDatagram> {
    let header: Ipv4Header = frame.read(offset).ok_or(NoDatagram::Malformed)?;
    let header_len = header.header_len();
    if header.version() != 4 || header_len < Ipv4Header::LEN {
        return Err(NoDatagram::Malformed);
    }
    if header.protocol != IPPROTO_UDP {
        return Err(NoDatagram::NotUdp);
    }
    if header.is_fragment() {
        return Err(NoDatagram::Fragment);
    }
    let total_len = usize::from(header.total_len.get());
    if total_len < header_len {
        return Err(NoDatagram::Malformed);
    }
    Ok(IpPayload { start: offset + header_len, end: offset + total_len })
}

/// Skips the IPv6 header at `offset` and its extension headers. Returns the UDP datagram after them.
#[inline(always)]
fn skip_ipv6<F: Frame + ?Sized>(frame: &F, offset: usize) -> Result<IpPayload, NoDatagram> {
    let header: Ipv6Header = frame.read(offset).ok_or(NoDatagram::Malformed)?;
    if header.version() != 6 {
        return Err(NoDatagram::Malformed);
    }
    let mut next_header = header.next_header;
    let mut start = offset + Ipv6Header::LEN;
    let end = start + usize::from(header.payload_len.get());
    for _ in 0..MAX_EXTENSION_HEADERS {
        match next_header {
            IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_DSTOPTS => {}
            _ => break,
        }
        let extension: ExtensionHeader = frame.read(start).ok_or(NoDatagram::Malformed)?;
        if next_header == IPPROTO_ROUTING && extension.segments_left != 0 {
            // The packet is on its way to another address.
            return Err(NoDatagram::NotUdp);
        }
        next_header = extension.next_header;
        start += extension.header_len();
        if start > end {
            return Err(NoDatagram::Malformed);
        }
    }
    match next_header {
        IPPROTO_UDP => Ok(IpPayload { start, end }),
        IPPROTO_FRAGMENT => Err(NoDatagram::Fragment),
        _ => Err(NoDatagram::NotUdp),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use zerocopy::IntoBytes as _;

    use super::{
        ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, EthernetHeader, ExtensionHeader, IPPROTO_DSTOPTS,
        IPPROTO_FRAGMENT, IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_UDP, Ipv4Header, Ipv6Header, NoDatagram,
        UdpDatagram, UdpHeader, VlanTag, is_unicast_ipv4, is_unicast_ipv6,
    };

    const PAYLOAD: &[u8] = b"ACK";

    fn ethernet(ethertype: u16) -> EthernetHeader {
        EthernetHeader { destination: [2, 0, 0, 0, 0, 1], source: [2, 0, 0, 0, 0, 2], ethertype: ethertype.into() }
    }

    fn udp() -> Vec<u8> {
        let len = (UdpHeader::LEN + PAYLOAD.len()) as u16;
        let header =
            UdpHeader { source_port: 5062.into(), destination_port: 5060.into(), len: len.into(), checksum: [0; 2] };
        [header.as_bytes(), PAYLOAD].concat()
    }

    fn ipv4() -> Ipv4Header {
        Ipv4Header {
            version_and_len: 0x45,
            traffic_class: 0xb8,
            total_len: ((Ipv4Header::LEN + udp().len()) as u16).into(),
            identification: 1.into(),
            // "Don't fragment".
            fragment: 0x4000.into(),
            ttl: 64,
            protocol: IPPROTO_UDP,
            checksum: [0; 2],
            source: [198, 18, 0, 1],
            destination: [198, 18, 0, 2],
        }
    }

    fn ipv6(next_header: u8, payload_len: usize) -> Ipv6Header {
        Ipv6Header {
            version_class_flow: 0x6b8f_ffff.into(),
            payload_len: (payload_len as u16).into(),
            next_header,
            hop_limit: 64,
            source: *b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01",
            destination: *b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02",
        }
    }

    fn ipv4_frame(tags: &[u16], header: Ipv4Header) -> Vec<u8> {
        let mut frame = ethernet(*tags.first().unwrap_or(&ETH_P_IP)).as_bytes().to_vec();
        for at in 0..tags.len() {
            let ethertype = *tags.get(at + 1).unwrap_or(&ETH_P_IP);
            frame.extend(VlanTag { control: 7.into(), ethertype: ethertype.into() }.as_bytes());
        }
        frame.extend(header.as_bytes());
        frame.extend(udp());
        frame
    }

    /// A frame with IPv6 extension headers of `kinds`, each `units` * 8 bytes longer than the shortest.
    fn ipv6_frame(kinds: &[u8], units: u8, segments_left: u8) -> Vec<u8> {
        let extension_len = (usize::from(units) + 1) * 8;
        let next_header = |at: usize| *kinds.get(at).unwrap_or(&IPPROTO_UDP);
        let mut frame = ethernet(ETH_P_IPV6).as_bytes().to_vec();
        frame.extend(ipv6(next_header(0), kinds.len() * extension_len + udp().len()).as_bytes());
        for at in 0..kinds.len() {
            let header = ExtensionHeader { next_header: next_header(at + 1), units, routing_type: 0, segments_left };
            frame.extend(header.as_bytes());
            frame.resize(frame.len() + extension_len - 4, 0);
        }
        frame.extend(udp());
        frame
    }

    #[track_caller]
    fn assert_found(frame: &[u8]) -> UdpDatagram {
        let datagram = UdpDatagram::find(frame).unwrap();
        assert_eq!(datagram.payload(frame), Some(PAYLOAD));
        assert_eq!(datagram.payload_offset(), frame.len() - PAYLOAD.len());
        assert_eq!(datagram.payload_len(), Some(PAYLOAD.len()));
        assert_eq!(datagram.packet_end(), frame.len());
        assert_eq!((datagram.udp().source_port.get(), datagram.udp().destination_port.get()), (5062, 5060));
        let mut padded = frame.to_vec();
        padded.resize(frame.len() + 18, 0xff);
        assert_eq!(UdpDatagram::find(&*padded).unwrap().payload(&padded), Some(PAYLOAD));
        for len in 0..frame.len() {
            let short = &frame[..len];
            match UdpDatagram::find(short) {
                Ok(datagram) => assert_eq!(datagram.payload(short), None, "{len} bytes"),
                Err(reason) => assert_eq!(reason, NoDatagram::Malformed, "{len} bytes"),
            }
        }
        datagram
    }

    #[track_caller]
    fn assert_not_found(frame: &[u8], reason: NoDatagram) {
        assert_eq!(UdpDatagram::find(frame).map(|datagram| datagram.transport_offset()), Err(reason));
    }

    #[test]
    fn a_datagram_is_found_after_up_to_two_vlan_tags() {
        for tags in [&[][..], &[ETH_P_8021Q], &[ETH_P_8021AD], &[ETH_P_8021AD, ETH_P_8021Q]] {
            let datagram = assert_found(&ipv4_frame(tags, ipv4()));
            assert!(datagram.is_ipv4());
            assert_eq!(datagram.network_offset(), EthernetHeader::LEN + tags.len() * VlanTag::LEN);
        }
        assert_not_found(&ipv4_frame(&[ETH_P_8021AD, ETH_P_8021Q, ETH_P_8021Q], ipv4()), NoDatagram::NotIp);
    }

    #[test]
    fn a_datagram_is_found_after_ipv4_options() {
        let mut header = ipv4();
        header.version_and_len = 0x46;
        header.total_len = (header.total_len.get() + 4).into();
        let mut frame = ipv4_frame(&[], header);
        let options = EthernetHeader::LEN + Ipv4Header::LEN;
        frame.splice(options..options, [1, 1, 1, 0]);
        assert_found(&frame);
    }

    #[test]
    fn contradicting_ipv4_headers_are_malformed() {
        for (version_and_len, total_len) in [(0x44, 31), (0x65, 31), (0x46, 23), (0x45, 19), (0x45, 0)] {
            let header = Ipv4Header { version_and_len, total_len: total_len.into(), ..ipv4() };
            assert_not_found(&ipv4_frame(&[], header), NoDatagram::Malformed);
        }
    }

    #[test]
    fn ipv4_fragments_and_other_protocols_are_not_datagrams() {
        for fragment in [0x2000, 1, 0x1fff] {
            let header = Ipv4Header { fragment: fragment.into(), ..ipv4() };
            assert_not_found(&ipv4_frame(&[], header), NoDatagram::Fragment);
        }
        assert_not_found(&ipv4_frame(&[], Ipv4Header { protocol: 6, ..ipv4() }), NoDatagram::NotUdp);
        assert_not_found(ethernet(0x0806).as_bytes(), NoDatagram::NotIp);
    }

    #[test]
    fn a_datagram_is_found_after_up_to_four_extension_headers() {
        let kinds = [IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_DSTOPTS];
        for count in 0..=4 {
            for units in [0, 1] {
                let datagram = assert_found(&ipv6_frame(&kinds[..count], units, 0));
                assert!(!datagram.is_ipv4());
                assert_eq!(datagram.network_offset(), EthernetHeader::LEN);
            }
        }
        assert_not_found(&ipv6_frame(&kinds, 0, 0), NoDatagram::NotUdp);
    }

    #[test]
    fn ipv6_packets_with_segments_left_and_ipv6_fragments_are_not_datagrams() {
        assert_found(&ipv6_frame(&[IPPROTO_HOPOPTS], 0, 1));
        assert_not_found(&ipv6_frame(&[IPPROTO_ROUTING], 0, 1), NoDatagram::NotUdp);
        assert_not_found(&ipv6_frame(&[IPPROTO_FRAGMENT], 0, 0), NoDatagram::Fragment);
        assert_not_found(&ipv6_frame(&[IPPROTO_HOPOPTS, IPPROTO_FRAGMENT], 0, 0), NoDatagram::Fragment);
        assert_not_found(&ipv6_frame(&[59], 0, 0), NoDatagram::NotUdp);
    }

    #[test]
    fn extension_headers_longer_than_the_packet_are_malformed() {
        let mut frame = ipv6_frame(&[IPPROTO_HOPOPTS], 0, 0);
        frame[EthernetHeader::LEN + Ipv6Header::LEN + 1] = 255;
        assert_not_found(&frame, NoDatagram::Malformed);
    }

    #[test]
    fn the_traffic_class_of_ipv6_is_between_version_and_flow_label() {
        assert_eq!((ipv6(0, 0).version(), ipv6(0, 0).traffic_class()), (6, 0xb8));
    }

    #[test]
    fn a_udp_length_that_contradicts_the_packet_yields_no_payload() {
        for (udp_len, payload_len) in [(7, None), (8, Some(0)), (11, Some(3)), (12, None), (u16::MAX, None)] {
            let mut frame = ipv4_frame(&[], ipv4());
            let at = EthernetHeader::LEN + Ipv4Header::LEN + 4;
            frame[at..at + 2].copy_from_slice(&udp_len.to_be_bytes());
            frame.extend([0; 18]);
            let datagram = UdpDatagram::find(&*frame).unwrap();
            assert_eq!(datagram.payload_len(), payload_len, "{udp_len}");
            assert_eq!(datagram.payload(&frame).map(<[u8]>::len), payload_len, "{udp_len}");
        }
    }

    #[test]
    fn a_packet_longer_than_its_frame_has_no_payload() {
        let total_len = (ipv4().total_len.get() + 1).into();
        let frame = ipv4_frame(&[], Ipv4Header { total_len, ..ipv4() });
        assert_eq!(UdpDatagram::find(&*frame).unwrap().payload(&frame), None);
    }

    #[test]
    fn groups_and_unspecified_addresses_are_not_unicast() {
        for (address, expected) in [
            ([0, 0, 0, 0], false),
            ([0, 255, 255, 255], false),
            ([1, 0, 0, 0], true),
            ([126, 255, 255, 255], true),
            ([127, 0, 0, 1], false),
            ([128, 0, 0, 1], true),
            ([198, 18, 0, 1], true),
            ([223, 255, 255, 255], true),
            ([224, 0, 0, 1], false),
            ([240, 0, 0, 1], false),
            ([255, 255, 255, 255], false),
        ] {
            assert_eq!(is_unicast_ipv4(address), expected, "{address:?}");
            let other = ipv4().source;
            assert_eq!(Ipv4Header { source: address, destination: other, ..ipv4() }.is_unicast(), expected);
            assert_eq!(Ipv4Header { source: other, destination: address, ..ipv4() }.is_unicast(), expected);
        }
        for (address, expected) in [
            (0, false),
            (1, false),
            (2, true),
            ((0xfe80 << 112) | 1, true),
            ((0x2001_0db8 << 96) | 1, true),
            ((0xff02 << 112) | 1, false),
            (u128::MAX, false),
        ] {
            let address = u128::to_be_bytes(address);
            assert_eq!(is_unicast_ipv6(address), expected, "{address:x?}");
            let other = ipv6(0, 0).source;
            assert_eq!(Ipv6Header { source: address, destination: other, ..ipv6(0, 0) }.is_unicast(), expected);
            assert_eq!(Ipv6Header { source: other, destination: address, ..ipv6(0, 0) }.is_unicast(), expected);
        }
    }

    #[test]
    fn frames_to_or_from_a_group_are_not_unicast() {
        let frame = ethernet(ETH_P_IP);
        assert!(frame.is_unicast());
        assert!(!EthernetHeader { destination: [0xff; 6], ..frame }.is_unicast());
        assert!(!EthernetHeader { source: [1, 0, 0x5e, 0, 0, 1], ..frame }.is_unicast());
    }
}
