//! From the Ethernet header to the SIP message: the headers of a frame.
#![expect(unsafe_code, reason = "reads of packet memory after a check of its bounds, and a helper")]

use core::hint::cold_path;

use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;
use filter_common::maps::{MAX_FRAME, mac_number, mapped_ipv4};
use filter_common::net::{EthernetHeader, Frame, Ipv4Header, Ipv6Header, NoDatagram, UdpDatagram, UdpHeader, VlanTag};
use filter_common::sip::MAX_LEADING_CRLF;
use filter_common::verdict::Verdict;
use zerocopy::{FromBytes, Immutable, IntoBytes, transmute};

use crate::maps;

/// A UDP datagram to the proxy, by offsets in its frame.
#[repr(C)]
#[derive(Clone, Copy, FromBytes)]
pub(crate) struct Packet {
    offset: u32,
    length: u32,
    network: u32,
    transport: u32,
    end: u32,
    is_ipv4: u32,
}

impl Packet {
    /// Finds the datagram to the proxy in the frame.
    ///
    /// # Errors
    ///
    /// The verdict on the frame if there is none.
    #[inline(always)]
    pub(crate) fn from_frame(ctx: &XdpContext) -> Result<Self, Verdict> {
        let datagram = UdpDatagram::find(&PacketData(ctx)).map_err(verdict_on)?;
        if !maps::is_sip_port(datagram.udp().destination_port.get()) {
            return Err(Verdict::OtherPort);
        }
        let length = datagram.payload_len().ok_or(Verdict::Malformed)?;
        Ok(Self {
            offset: datagram.payload_offset() as u32,
            length: length as u32,
            network: datagram.network_offset() as u32,
            transport: datagram.transport_offset() as u32,
            end: datagram.packet_end() as u32,
            is_ipv4: datagram.is_ipv4().into(),
        })
    }

    /// Returns the offset of the message in the frame.
    #[inline(always)]
    pub(crate) fn offset(&self) -> u32 {
        self.offset
    }

    /// Returns the length of the message in bytes.
    #[inline(always)]
    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    /// Skips the line ends before the start line (RFC 3261 section 7.5), 16 at most.
    ///
    /// If there are more, the message still begins with a line end, and no method does.
    #[inline(always)]
    pub(crate) fn skip_leading_line_ends(&mut self, ctx: &XdpContext) {
        let count = self.leading_line_ends(ctx);
        self.offset += count;
        self.length -= count;
    }

    #[inline(always)]
    fn leading_line_ends(&self, ctx: &XdpContext) -> u32 {
        for count in 0..MAX_LEADING_CRLF {
            match PacketData(ctx).read::<[u8; 2]>((self.offset + count) as usize) {
                // Hardly anything but keep-alives, so keep this out of the path of other packets.
                Some([b'\r' | b'\n', _]) if count < self.length => cold_path(),
                _ => return count,
            }
        }
        MAX_LEADING_CRLF
    }

    /// Returns the first 16 bytes of the message as [words](filter_common::words), or `None` if the frame ends before.
    #[inline(always)]
    pub(crate) fn first_words(&self, ctx: &XdpContext) -> Option<[u64; 2]> {
        let words: [u64; 2] = PacketData(ctx).read(self.offset as usize)?;
        Some(words.map(u64::from_le))
    }

    /// Returns the outer and the inner VLAN tag as in [`Vlan`](filter_common::maps::Vlan), or `None` if the frame ends
    /// before. A tag that carries only a priority is none.
    #[inline(always)]
    fn tags(&self, frame: &PacketData<'_>, ethernet: &EthernetHeader) -> Option<[u32; 2]> {
        const FIRST: usize = EthernetHeader::LEN;
        const SECOND: usize = FIRST + VlanTag::LEN;
        if self.network as usize == FIRST {
            return Some([0; 2]);
        }
        let first: VlanTag = frame.read(FIRST)?;
        let outer = tag_number(ethernet.ethertype.get(), &first);
        if self.network as usize == SECOND {
            return Some([outer, 0]);
        }
        let second: VlanTag = frame.read(SECOND)?;
        let inner = tag_number(first.ethertype.get(), &second);
        Some(if outer == 0 { [inner, 0] } else { [outer, inner] })
    }

    /// Checks that the packet is all in the frame's first buffer, and that the frame fits into the responder's socket.
    #[inline(always)]
    pub(crate) fn check_size(&self, ctx: &XdpContext) -> Result<(), Verdict> {
        let first_buffer = (ctx.data_end() - ctx.data()) as u64;
        // SAFETY: the helper takes the context that the kernel passed to the program.
        let frame = unsafe { bpf_xdp_get_buff_len(ctx.ctx) };
        if frame != first_buffer || frame > u64::from(MAX_FRAME) {
            return Err(Verdict::TooLong);
        }
        if u64::from(self.end) > first_buffer {
            return Err(Verdict::Malformed);
        }
        Ok(())
    }
}

/// Source and destination of a datagram, and its length.
#[repr(C)]
#[derive(Clone, Copy, FromBytes)]
pub(crate) struct Endpoints {
    flow: Flow,
    source_port: u32,
    /// Length of the IP packet in bytes.
    packet_len: u32,
}

/// The packets that arrive on one interface, from one address to one address and port, in the same VLAN.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
pub(crate) struct Flow {
    source: [u64; 2],
    destination: [u64; 2],
    /// Destination MAC address, by [`mac_number`].
    station: u64,
    /// VLAN tags as in [`Vlan`](filter_common::maps::Vlan), without those that carry only a priority.
    outer_tag: u32,
    inner_tag: u32,
    ifindex: u32,
    /// The destination port, and from bit 16 on whether the packet is IPv4.
    port_and_family: u32,
}

impl Endpoints {
    /// Reads the endpoints of a packet that can be redirected.
    ///
    /// Called after the method check, which rules out most packets.
    ///
    /// # Errors
    ///
    /// The verdict on the packet if a response to it is impossible.
    #[inline(always)]
    pub(crate) fn from_packet(ctx: &XdpContext, packet: &Packet) -> Result<Self, Verdict> {
        let frame = PacketData(ctx);
        let ethernet: EthernetHeader = frame.read(0).ok_or(Verdict::Malformed)?;
        let (source, destination, is_unicast) = if packet.is_ipv4 != 0 {
            let header: Ipv4Header = frame.read(packet.network as usize).ok_or(Verdict::Malformed)?;
            (mapped_ipv4(header.source), mapped_ipv4(header.destination), header.is_unicast())
        } else {
            let header: Ipv6Header = frame.read(packet.network as usize).ok_or(Verdict::Malformed)?;
            (transmute!(header.source), transmute!(header.destination), header.is_unicast())
        };
        if !ethernet.is_unicast() || !is_unicast {
            return Err(Verdict::NotUnicast);
        }
        let udp: UdpHeader = frame.read(packet.transport as usize).ok_or(Verdict::Malformed)?;
        let [outer_tag, inner_tag] = packet.tags(&frame, &ethernet).ok_or(Verdict::Malformed)?;
        let flow = Flow {
            source,
            destination,
            station: mac_number(ethernet.destination),
            outer_tag,
            inner_tag,
            ifindex: maps::rx_queue(ctx).ifindex,
            port_and_family: u32::from(udp.destination_port.get()) | (packet.is_ipv4 << 16),
        };
        Ok(Self {
            flow,
            source_port: udp.source_port.get().into(),
            packet_len: packet.end.wrapping_sub(packet.network),
        })
    }

    /// Returns the flow that the datagram belongs to.
    #[inline(always)]
    pub(crate) fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Returns the source port in host byte order.
    #[inline(always)]
    pub(crate) fn source_port(&self) -> u16 {
        self.source_port as u16
    }

    /// Returns the length of the IP packet in bytes.
    #[inline(always)]
    pub(crate) fn packet_len(&self) -> u32 {
        self.packet_len
    }
}

impl Flow {
    /// Returns the source address in network byte order: IPv6, or IPv4-mapped.
    #[inline(always)]
    pub(crate) fn source(&self) -> [u64; 2] {
        self.source
    }

    /// Returns the source address in network byte order if it is IPv4.
    #[inline(always)]
    pub(crate) fn ipv4_source(&self) -> Option<u32> {
        self.ipv4(self.source)
    }

    /// Returns the destination address in network byte order: IPv6, or IPv4-mapped.
    #[inline(always)]
    pub(crate) fn destination(&self) -> [u64; 2] {
        self.destination
    }

    /// Returns the destination address in network byte order if it is IPv4.
    #[inline(always)]
    pub(crate) fn ipv4_destination(&self) -> Option<u32> {
        self.ipv4(self.destination)
    }

    /// Returns the destination port in host byte order.
    #[inline(always)]
    pub(crate) fn destination_port(&self) -> u16 {
        self.port_and_family as u16
    }

    /// Returns the destination MAC address, by [`mac_number`].
    #[inline(always)]
    pub(crate) fn station(&self) -> u64 {
        self.station
    }

    /// Returns the outer and the inner VLAN tag as in [`Vlan`](filter_common::maps::Vlan).
    #[inline(always)]
    pub(crate) fn tags(&self) -> [u32; 2] {
        [self.outer_tag, self.inner_tag]
    }

    /// Returns the index of the interface.
    #[inline(always)]
    pub(crate) fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Returns the flow as words.
    #[inline(always)]
    pub(crate) fn words(&self) -> [u64; 7] {
        transmute!(*self)
    }

    #[inline(always)]
    fn ipv4(&self, address: [u64; 2]) -> Option<u32> {
        (self.port_and_family >> 16 != 0).then_some((address[1] >> 32) as u32)
    }
}

/// Returns a tag as in [`Vlan`](filter_common::maps::Vlan): zero if it carries only a priority.
#[inline(always)]
fn tag_number(ethertype: u16, tag: &VlanTag) -> u32 {
    if tag.id() == 0 { 0 } else { (u32::from(ethertype) << 16) | u32::from(tag.id()) }
}

#[inline(always)]
const fn verdict_on(no_datagram: NoDatagram) -> Verdict {
    match no_datagram {
        NoDatagram::NotIp => Verdict::NotIp,
        NoDatagram::NotUdp => Verdict::NotUdp,
        NoDatagram::Fragment => Verdict::Fragment,
        NoDatagram::Malformed => Verdict::Malformed,
    }
}

/// Mask of all offsets, within what the verifier accepts for packet pointers (`MAX_PACKET_OFF`).
///
/// A header further in is read at a wrong place. Its frame is longer than an AF_XDP frame, and passes whatever is read.
const OFFSET_MASK: usize = 0x1fff;

/// The first buffer of a frame.
struct PacketData<'a>(&'a XdpContext);

impl Frame for PacketData<'_> {
    #[inline(always)]
    fn read<T: FromBytes>(&self, offset: usize) -> Option<T> {
        // LLVM may compile the comparison for one byte to `pointer >= end`, from which the verifier learns nothing.
        const { assert!(size_of::<T>() >= 2) };
        let start = self.0.data() + (offset & OFFSET_MASK);
        if start + size_of::<T>() > self.0.data_end() {
            return None;
        }
        // SAFETY: the bytes are in the frame, and any bytes are a valid `T`.
        Some(unsafe { (start as *const T).read_unaligned() })
    }
}
