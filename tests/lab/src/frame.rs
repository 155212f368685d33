//! Ethernet frames with a UDP datagram, built byte by byte: VLAN tags, IPv4 options, IPv6 extension headers, padding.

use std::net::{IpAddr, SocketAddr};

use crate::checksum;

/// Ethertype of an 802.1Q tag.
pub const DOT1Q: u16 = 0x8100;
/// Ethertype of an 802.1ad (service provider) tag.
pub const DOT1AD: u16 = 0x88a8;

/// A VLAN tag: its ethertype, and 16 bits of priority, DEI and VLAN identifier.
pub type Tag = (u16, u16);

/// A frame before it is serialized. Parts that a plain frame does not have are empty.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// Ethernet destination.
    pub destination_mac: [u8; 6],
    /// VLAN tags, the outer one first.
    pub tags: Vec<Tag>,
    /// IPv4 options, a multiple of 4 bytes.
    pub ipv4_options: Vec<u8>,
    /// IPv6 extension headers: the protocol number of each, and its bytes after the first one (next header).
    pub ipv6_extensions: Vec<(u8, Vec<u8>)>,
    /// IP source and UDP source port.
    pub source: SocketAddr,
    /// IP destination and UDP destination port.
    pub destination: SocketAddr,
    /// Payload of the datagram.
    pub payload: Vec<u8>,
    /// Number of bytes after the IP packet, as short frames have them.
    pub padding: usize,
}

impl Frame {
    /// Returns the bytes of the frame, with correct lengths and checksums.
    ///
    /// # Panics
    ///
    /// Panics if source and destination are of different IP versions.
    #[track_caller]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [self.destination_mac, self.source_mac].concat();
        for (ethertype, control) in &self.tags {
            bytes.extend(ethertype.to_be_bytes());
            bytes.extend(control.to_be_bytes());
        }
        let datagram = self.datagram();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes.extend(0x0800_u16.to_be_bytes());
                bytes.extend(self.ipv4_header(source.octets(), destination.octets(), datagram.len()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                bytes.extend(0x86dd_u16.to_be_bytes());
                bytes.extend(self.ipv6_header(source.octets(), destination.octets(), datagram.len()));
            }
            _ => panic!("a frame from {} to {}: two IP versions", self.source, self.destination),
        }
        bytes.extend(datagram);
        bytes.resize(bytes.len() + self.padding, 0);
        bytes
    }

    fn datagram(&self) -> Vec<u8> {
        let mut datagram = Vec::new();
        datagram.extend(self.source.port().to_be_bytes());
        datagram.extend(self.destination.port().to_be_bytes());
        datagram.extend((8 + self.payload.len() as u16).to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend(&self.payload);
        let sum = checksum::udp(self.source.ip(), self.destination.ip(), &datagram);
        // Zero means that there is no checksum (RFC 768).
        let sum = if sum == 0 { 0xffff } else { sum };
        datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        datagram
    }

    fn ipv4_header(&self, source: [u8; 4], destination: [u8; 4], datagram: usize) -> Vec<u8> {
        let length = 20 + self.ipv4_options.len();
        let mut header = vec![0x40 | (length / 4) as u8, 0];
        header.extend(((length + datagram) as u16).to_be_bytes());
        // Identification, "don't fragment", TTL, UDP, and a checksum of zero for now.
        header.extend([0x12, 0x34, 0x40, 0, 64, 17, 0, 0]);
        header.extend(source);
        header.extend(destination);
        header.extend(&self.ipv4_options);
        let sum = checksum::internet(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn ipv6_header(&self, source: [u8; 16], destination: [u8; 16], datagram: usize) -> Vec<u8> {
        let protocols: Vec<u8> = self.ipv6_extensions.iter().map(|(protocol, _)| *protocol).chain([17]).collect();
        let mut extensions = Vec::new();
        for ((_, bytes), next) in self.ipv6_extensions.iter().zip(&protocols[1..]) {
            extensions.push(*next);
            extensions.extend(bytes);
        }
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(((extensions.len() + datagram) as u16).to_be_bytes());
        header.extend([protocols[0], 64]);
        header.extend(source);
        header.extend(destination);
        header.extend(extensions);
        header
    }
}
