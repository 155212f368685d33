//! A received Ethernet frame with a UDP datagram, parsed and verified: lengths and checksums must be right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};

use crate::checksum;
use crate::frame::{DOT1AD, DOT1Q, Tag};

/// The contents of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// Ethernet destination.
    pub destination_mac: [u8; 6],
    /// VLAN tags, the outer one first.
    pub tags: Vec<Tag>,
    /// IP source and UDP source port.
    pub source: SocketAddr,
    /// IP destination and UDP destination port.
    pub destination: SocketAddr,
    /// Payload of the datagram.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Parses a frame. Returns `None` if the frame has no UDP datagram.
    ///
    /// # Errors
    ///
    /// Returns an error if a length or a checksum is wrong.
    pub fn parse(frame: &[u8]) -> Result<Option<Self>> {
        let mut rest = Reader(frame);
        let (destination_mac, source_mac) = (rest.array()?, rest.array()?);
        let mut tags = Vec::new();
        let ethertype = loop {
            match rest.number()? {
                tag @ (DOT1Q | DOT1AD) => tags.push((tag, rest.number()?)),
                ethertype => break ethertype,
            }
        };
        let ip = match ethertype {
            0x0800 => ipv4(rest.0)?,
            0x86dd => ipv6(rest.0)?,
            _ => None,
        };
        let Some((source, destination, datagram)) = ip else { return Ok(None) };
        let mut rest = Reader(datagram);
        let (source_port, destination_port, length) = (rest.number()?, rest.number()?, rest.number()?);
        ensure!(usize::from(length) == datagram.len(), "UDP length {length}, but {} bytes", datagram.len());
        ensure!(rest.number()? != 0, "no UDP checksum");
        ensure!(checksum::udp(source, destination, datagram) == 0, "wrong UDP checksum");
        Ok(Some(Self {
            source_mac,
            destination_mac,
            tags,
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
            payload: rest.0.to_vec(),
        }))
    }
}

type Datagram<'a> = Option<(IpAddr, IpAddr, &'a [u8])>;

fn ipv4(packet: &[u8]) -> Result<Datagram<'_>> {
    let first = *packet.first().context("an empty IPv4 packet")?;
    ensure!(first >> 4 == 4, "IPv4 with version {}", first >> 4);
    let header_length = usize::from(first & 0xf) * 4;
    ensure!(header_length >= 20, "IPv4 header of {header_length} bytes");
    let header = packet.get(..header_length).context("a truncated IPv4 header")?;
    ensure!(checksum::internet(header) == 0, "wrong IPv4 header checksum");
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let datagram = packet.get(header_length..total).context("IPv4 total length beyond the frame")?;
    if header[9] != 17 {
        return Ok(None);
    }
    let mut addresses = Reader(&header[12..]);
    let (source, destination): ([u8; 4], [u8; 4]) = (addresses.array()?, addresses.array()?);
    Ok(Some((Ipv4Addr::from(source).into(), Ipv4Addr::from(destination).into(), datagram)))
}

fn ipv6(packet: &[u8]) -> Result<Datagram<'_>> {
    let header = packet.get(..40).context("a truncated IPv6 header")?;
    ensure!(header[0] >> 4 == 6, "IPv6 with version {}", header[0] >> 4);
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let datagram = packet.get(40..40 + length).context("IPv6 payload length beyond the frame")?;
    if header[6] != 17 {
        return Ok(None);
    }
    let mut addresses = Reader(&header[8..]);
    let (source, destination): ([u8; 16], [u8; 16]) = (addresses.array()?, addresses.array()?);
    Ok(Some((Ipv6Addr::from(source).into(), Ipv6Addr::from(destination).into(), datagram)))
}

/// Reads numbers and arrays from the front of a slice.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((first, rest)) = self.0.split_first_chunk() else { bail!("the frame is truncated") };
        self.0 = rest;
        Ok(*first)
    }

    /// Reads a big-endian number.
    fn number(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::Packet;
    use crate::frame::{DOT1AD, DOT1Q, Frame};

    fn frame(source: &str, destination: &str) -> Frame {
        Frame {
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: [2, 0, 0, 0, 0, 2],
            tags: vec![(DOT1AD, 7), (DOT1Q, 42)],
            ipv4_options: vec![1; 4],
            ipv6_extensions: Vec::new(),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            payload: b"abc".to_vec(),
            padding: 9,
        }
    }

    #[test]
    fn built_frame_is_parsed_into_its_fields() {
        for (source, destination) in
            [("198.18.0.1:5062", "198.18.0.2:5060"), ("[2001:db8::1]:5062", "[2001:db8::2]:5060")]
        {
            let frame = frame(source, destination);
            let packet = Packet::parse(&frame.to_bytes()).unwrap().unwrap();
            assert_eq!((packet.source, packet.destination), (frame.source, frame.destination));
            assert_eq!((packet.tags, packet.payload), (frame.tags, frame.payload));
        }
    }

    #[test]
    fn flipped_bit_in_a_header_or_in_the_payload_is_an_error() {
        let frame = frame("198.18.0.1:5062", "198.18.0.2:5060").to_bytes();
        // From the identification of the IPv4 header on. Before and after these, a bit breaks other fields.
        for at in [26, 30, 34, 38, frame.len() - 10] {
            let mut broken = frame.clone();
            broken[at] ^= 4;
            assert!(Packet::parse(&broken).is_err(), "byte {at}");
        }
    }
}
