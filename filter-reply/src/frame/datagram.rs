//! The datagram of a request: its message, and the addresses that the response swaps.

use std::net::SocketAddr;

use filter_common::net::{EthernetHeader, Frame as _, Ipv4Header, Ipv6Header, UdpDatagram};

use crate::Unanswered;

/// A UDP datagram in its frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'f> {
    pub(crate) ethernet: EthernetHeader,
    /// VLAN tags after the Ethernet header: up to two, of four bytes each.
    pub(crate) vlan_tags: &'f [u8],
    /// Traffic class, called TOS in IPv4: DSCP and ECN (RFC 2474, RFC 3168).
    pub(crate) traffic_class: u8,
    pub(crate) source: SocketAddr,
    /// Destination, of the same address family as `source`.
    pub(crate) destination: SocketAddr,
    /// UDP payload.
    pub(crate) message: &'f [u8],
}

impl<'f> Datagram<'f> {
    /// Parses the headers of `frame`, which begins with the Ethernet header.
    ///
    /// Checksums are not verified: the kernel has verified them, and on a veth they are not computed yet.
    ///
    /// # Errors
    ///
    /// * [`Unanswered::Unreadable`] if the frame has no complete UDP datagram;
    /// * [`Unanswered::NotUnicast`] if an address is not a host's;
    /// * [`Unanswered::SourcePort`] if the source port is 0.
    #[inline(always)]
    pub(crate) fn parse(frame: &'f [u8]) -> Result<Self, Unanswered> {
        let datagram = UdpDatagram::find(frame).map_err(|_reason| Unanswered::Unreadable)?;
        let message = datagram.payload(frame).ok_or(Unanswered::Unreadable)?;
        let ethernet: EthernetHeader = frame.read(0).ok_or(Unanswered::Unreadable)?;
        let network = datagram.network_offset();
        let vlan_tags = frame.get(EthernetHeader::LEN..network).ok_or(Unanswered::Unreadable)?;
        let (source_port, destination_port) = (datagram.udp().source_port.get(), datagram.udp().destination_port.get());
        let (is_unicast, traffic_class, source, destination) = if datagram.is_ipv4() {
            let ip: Ipv4Header = frame.read(network).ok_or(Unanswered::Unreadable)?;
            let (source, destination) = ((ip.source, source_port).into(), (ip.destination, destination_port).into());
            (ip.is_unicast(), ip.traffic_class, source, destination)
        } else {
            let ip: Ipv6Header = frame.read(network).ok_or(Unanswered::Unreadable)?;
            let (source, destination) = ((ip.source, source_port).into(), (ip.destination, destination_port).into());
            (ip.is_unicast(), ip.traffic_class(), source, destination)
        };
        if !ethernet.is_unicast() || !is_unicast {
            return Err(Unanswered::NotUnicast);
        }
        if source_port == 0 {
            return Err(Unanswered::SourcePort);
        }
        Ok(Self { ethernet, vlan_tags, traffic_class, source, destination, message })
    }
}
