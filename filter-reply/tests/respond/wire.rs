//! Frames of requests and of responses, built and parsed by the RFCs, without the code under test.

use std::net::{IpAddr, SocketAddr};

/// Ethernet address of the sender.
pub(crate) const SENDER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Ethernet address of the proxy.
pub(crate) const PROXY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A sender of SIP messages, with the headers that its frames have.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// VLAN tags from the outermost on: type and TCI.
    pub(crate) tags: Vec<(u16, u16)>,
    pub(crate) traffic_class: u8,
    /// IPv4 options: a multiple of four bytes.
    pub(crate) options: Vec<u8>,
    /// IPv6 extension headers with their types: each a multiple of eight bytes, of which the first is filled in.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    /// Number of bytes after the packet, such as a NIC adds to short frames.
    pub(crate) padding: usize,
}

impl Default for Sender {
    fn default() -> Self {
        Self {
            source: "198.18.0.1:40123".parse().expect("an address"),
            destination: "198.18.0.2:5060".parse().expect("an address"),
            tags: vec![],
            traffic_class: 0,
            options: vec![],
            extensions: vec![],
            padding: 0,
        }
    }
}

impl Sender {
    /// Returns the default sender over IPv6.
    pub(crate) fn ipv6() -> Self {
        let source = "[2001:db8::1]:40123".parse().expect("an address");
        let destination = "[2001:db8::2]:5060".parse().expect("an address");
        Self { source, destination, ..Self::default() }
    }

    /// Returns the frame of `message`.
    pub(crate) fn frame(&self, message: &[u8]) -> Vec<u8> {
        let mut frame = [PROXY_MAC, SENDER_MAC].concat();
        for (ethertype, tci) in &self.tags {
            frame.extend([ethertype.to_be_bytes(), tci.to_be_bytes()].concat());
        }
        let udp_len = message.len() as u16 + 8;
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total_len = 20 + self.options.len() as u16 + udp_len;
                frame.extend([0x08, 0x00, 0x45 + self.options.len() as u8 / 4, self.traffic_class]);
                frame.extend(total_len.to_be_bytes());
                frame.extend([0x12, 0x34, 0x40, 0, 57, 17, 0xde, 0xad]);
                frame.extend([source.octets(), destination.octets()].concat());
                frame.extend(&self.options);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let extensions: usize = self.extensions.iter().map(|(_, header)| header.len()).sum();
                let types: Vec<u8> = self.extensions.iter().map(|(number, _)| *number).chain([17]).collect();
                frame.extend([0x86, 0xdd, 0x60 | (self.traffic_class >> 4), self.traffic_class << 4, 0xbe, 0xef]);
                frame.extend((extensions as u16 + udp_len).to_be_bytes());
                frame.extend([types[0], 57]);
                frame.extend([source.octets(), destination.octets()].concat());
                for ((_, header), next) in self.extensions.iter().zip(&types[1..]) {
                    frame.push(*next);
                    frame.extend(&header[1..]);
                }
            }
            _ => panic!("source and destination are of different address families"),
        }
        for number in [self.source.port(), self.destination.port(), udp_len, 0xdead] {
            frame.extend(number.to_be_bytes());
        }
        frame.extend(message);
        frame.resize(frame.len() + self.padding, 0x55);
        frame
    }
}

/// A frame with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) macs: [[u8; 6]; 2],
    pub(crate) tags: Vec<(u16, u16)>,
    pub(crate) traffic_class: u8,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) message: Vec<u8>,
}

impl Capture {
    /// Parses `frame`. Panics if a length or a checksum is wrong, or if there is an optional header.
    #[track_caller]
    pub(crate) fn parse(frame: &[u8]) -> Self {
        let macs = [frame[..6].try_into().expect("six bytes"), frame[6..12].try_into().expect("six bytes")];
        let (mut at, mut tags) = (12, vec![]);
        while matches!(be(&frame[at..]), 0x8100 | 0x88a8) {
            tags.push((be(&frame[at..]), be(&frame[at + 2..])));
            at += 4;
        }
        let (ethertype, packet) = (be(&frame[at..]), &frame[at + 2..]);
        let (traffic_class, addresses, datagram) = match ethertype {
            0x0800 => {
                assert_eq!((packet[0], packet[8], packet[9]), (0x45, 64, 17), "version and IHL, TTL, protocol");
                assert_eq!(usize::from(be(&packet[2..])), packet.len(), "total length");
                assert_eq!((be(&packet[4..]), be(&packet[6..])), (0, 0x4000), "identification, flags and offset");
                assert_eq!(ones_complement(&packet[..20]), 0xffff, "header checksum");
                (packet[1], &packet[12..20], &packet[20..])
            }
            0x86dd => {
                assert_eq!((packet[0] >> 4, packet[6], packet[7]), (6, 17, 64), "version, next header, hop limit");
                assert_eq!((packet[1] & 0xf, be(&packet[2..])), (0, 0), "flow label");
                assert_eq!(usize::from(be(&packet[4..])), packet.len() - 40, "payload length");
                ((packet[0] << 4) | (packet[1] >> 4), &packet[8..40], &packet[40..])
            }
            other => panic!("ethertype {other:#x}"),
        };
        assert_eq!(usize::from(be(&datagram[4..])), datagram.len(), "UDP length");
        assert_ne!(be(&datagram[6..]), 0, "UDP checksum left out");
        let pseudo_header = [addresses, &[0, 17], &datagram[4..6], datagram].concat();
        assert_eq!(ones_complement(&pseudo_header), 0xffff, "UDP checksum");

        let (source, destination) = addresses.split_at(addresses.len() / 2);
        let end = |address: &[u8], port: u16| match <[u8; 4]>::try_from(address) {
            Ok(address) => SocketAddr::new(address.into(), port),
            Err(_) => SocketAddr::new(<[u8; 16]>::try_from(address).expect("16 bytes").into(), port),
        };
        Self {
            macs,
            tags,
            traffic_class,
            source: end(source, be(datagram)),
            destination: end(destination, be(&datagram[2..])),
            message: datagram[8..].to_vec(),
        }
    }
}

/// Returns the first two bytes as a number in network byte order.
fn be(bytes: &[u8]) -> u16 {
    (u16::from(bytes[0]) << 8) | u16::from(bytes[1])
}

/// Returns the sum of RFC 1071 over pairs of bytes. It is 0xffff if the bytes include their checksum.
fn ones_complement(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}
