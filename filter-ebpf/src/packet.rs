//! From the Ethernet header to the SIP message: the walk through the headers of a frame.

use aya_ebpf::programs::XdpContext;
use core::hint::cold_path;
use core::mem::size_of;
use filter_common::maps::MAX_FRAME;
use filter_common::sip::MAX_LEADING_CRLF;
use filter_common::verdict::Verdict;

use crate::maps;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;

const IPPROTO_HOPOPTS: u8 = 0;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_ROUTING: u8 = 43;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_DSTOPTS: u8 = 60;

/// More VLAN tags than a service provider's and a customer's are not looked behind.
const MAX_VLAN_TAGS: usize = 2;
/// Each of the three kinds of IPv6 extension header once, and destination options a second time (RFC 8200 section 4.1).
const MAX_EXTENSION_HEADERS: usize = 4;
/// "More fragments" or an offset: `IP_MF | IP_OFFSET`.
const FRAGMENT: u16 = 0x3fff;

/// A datagram to the proxy's port.
#[derive(Clone, Copy)]
pub struct Packet {
    /// Where the message begins, in octets from the frame's beginning.
    pub offset: u32,
    /// How many octets it has.
    pub length: u32,
    /// Where the IP header begins.
    network: u32,
    /// Where the UDP header begins.
    transport: u32,
    /// That of the IP header, host byte order.
    ethertype: u16,
}

impl Packet {
    /// The message begins so many octets further on.
    #[inline(always)]
    pub fn skip(&mut self, octets: u32) {
        self.offset += octets;
        self.length -= octets;
    }
}

/// Where a datagram comes from.
#[derive(Clone, Copy)]
pub struct Source {
    /// Network byte order: IPv6, or IPv4 mapped.
    pub address: [u64; 2],
    /// Host byte order.
    pub port: u16,
    is_ipv4: bool,
}

impl Source {
    /// The address in network byte order, if it is IPv4.
    #[inline(always)]
    pub fn ipv4(&self) -> Option<u32> {
        self.is_ipv4.then_some((self.address[1] >> 32) as u32)
    }
}

/// An IPv4 header without options, numbers in network byte order (RFC 791 section 3.1).
///
/// Read as a whole, so that its place in the frame is worked out, and proven to be there, once.
#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv4Header {
    version_ihl: u8,
    tos: u8,
    total_length: u16,
    identification: u16,
    fragment: u16,
    ttl: u8,
    protocol: u8,
    checksum: u16,
    addresses: [u32; 2],
}

/// What an IP header says of its payload.
struct Payload {
    /// Where it begins.
    offset: usize,
    /// How long it is, by the IP header: a short frame is padded.
    length: usize,
}

/// The datagram to the proxy in the frame, or why there is none to be looked at.
#[inline(always)]
pub fn sip_packet(ctx: &XdpContext) -> Result<Packet, Verdict> {
    let (ethertype, network) = ethertype(ctx)?;

    // IPv4 or IPv6, up to a UDP header that is all there.
    let payload = match ethertype {
        ETH_P_IP => ipv4_payload(ctx, network)?,
        ETH_P_IPV6 => ipv6_payload(ctx, network)?,
        _ => return Err(Verdict::NotIp),
    };

    // UDP. Its length bounds the message, not the frame's end.
    let [_, port, length, _] = read::<[u16; 4], 8>(ctx, payload.offset).ok_or(Verdict::Malformed)?;
    if !maps::is_sip_port(u16::from_be(port)) {
        return Err(Verdict::OtherPort);
    }
    let udp_length = usize::from(u16::from_be(length));
    if udp_length < 8 || udp_length > payload.length {
        return Err(Verdict::Malformed);
    }
    Ok(Packet {
        offset: (payload.offset + 8) as u32,
        length: (udp_length - 8) as u32,
        network: network as u32,
        transport: payload.offset as u32,
        ethertype,
    })
}

/// Where the packet comes from, or why it cannot be answered.
///
/// Most packets are none that could be, which their first octets say; so this is asked after those.
#[inline(always)]
pub fn source(ctx: &XdpContext, packet: &Packet) -> Result<Source, Verdict> {
    // The lowest bit of the first octet says that the frame is for a group.
    let to_a_group = read::<u8, 14>(ctx, 0).ok_or(Verdict::Malformed)? & 1 == 1;
    let Packet { network, transport, ethertype, .. } = *packet;
    let is_ipv4 = ethertype == ETH_P_IP;
    let [address, destination] = addresses(ctx, is_ipv4, network as usize).ok_or(Verdict::Malformed)?;
    if to_a_group || !is_unicast(is_ipv4, address) || !is_unicast(is_ipv4, destination) {
        return Err(Verdict::NotUnicast);
    }
    check_size(ctx, packet)?;
    let port = read_be16(ctx, transport as usize).ok_or(Verdict::Malformed)?;
    Ok(Source { address, port, is_ipv4 })
}

/// The type of the frame, behind its VLAN tags, and where its payload begins.
#[inline(always)]
fn ethertype(ctx: &XdpContext) -> Result<(u16, usize), Verdict> {
    let mut ethertype = read_be16(ctx, 12).ok_or(Verdict::Malformed)?;
    let mut offset = 14;
    for _ in 0..MAX_VLAN_TAGS {
        if ethertype != ETH_P_8021Q && ethertype != ETH_P_8021AD {
            break;
        }
        ethertype = read_be16(ctx, offset + 2).ok_or(Verdict::Malformed)?;
        offset += 4;
    }
    Ok((ethertype, offset))
}

/// The UDP datagram in the IPv4 packet at `offset` (RFC 791 section 3.1).
#[inline(always)]
fn ipv4_payload(ctx: &XdpContext, offset: usize) -> Result<Payload, Verdict> {
    let header = read::<Ipv4Header, 20>(ctx, offset).ok_or(Verdict::Malformed)?;
    let header_length = usize::from(header.version_ihl & 0xf) * 4;
    if header.version_ihl >> 4 != 4 || header_length < 20 {
        return Err(Verdict::Malformed);
    }
    if header.protocol != IPPROTO_UDP {
        return Err(Verdict::NotUdp);
    }
    if u16::from_be(header.fragment) & FRAGMENT != 0 {
        return Err(Verdict::Fragment);
    }
    let total_length = usize::from(u16::from_be(header.total_length));
    let length = total_length.checked_sub(header_length).ok_or(Verdict::Malformed)?;
    Ok(Payload { offset: offset + header_length, length })
}

/// The UDP datagram in the IPv6 packet at `offset`, behind the extension headers that a host looks at on its way to
/// it (RFC 8200 section 4).
#[inline(always)]
fn ipv6_payload(ctx: &XdpContext, offset: usize) -> Result<Payload, Verdict> {
    if read::<u8, 40>(ctx, offset).ok_or(Verdict::Malformed)? >> 4 != 6 {
        return Err(Verdict::Malformed);
    }
    let mut length = usize::from(read_be16(ctx, offset + 4).ok_or(Verdict::Malformed)?);
    let mut next_header = read::<u8, 1>(ctx, offset + 6).ok_or(Verdict::Malformed)?;
    let mut offset = offset + 40;
    for _ in 0..MAX_EXTENSION_HEADERS {
        match next_header {
            IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_DSTOPTS => {}
            _ => break,
        }
        let [next, eighths, _type, segments_left] = octets::<4>(ctx, offset as u32).ok_or(Verdict::Malformed)?;
        if next_header == IPPROTO_ROUTING && segments_left != 0 {
            // It is on its way to another address.
            return Err(Verdict::NotUdp);
        }
        let header_length = (usize::from(eighths) + 1) * 8;
        length = length.checked_sub(header_length).ok_or(Verdict::Malformed)?;
        next_header = next;
        offset += header_length;
    }
    match next_header {
        IPPROTO_UDP => Ok(Payload { offset, length }),
        IPPROTO_FRAGMENT => Err(Verdict::Fragment),
        _ => Err(Verdict::NotUdp),
    }
}

/// Source and destination address in network byte order, those of IPv4 mapped.
#[inline(always)]
fn addresses(ctx: &XdpContext, is_ipv4: bool, network: usize) -> Option<[[u64; 2]; 2]> {
    if is_ipv4 {
        let [source, destination] = read::<Ipv4Header, 20>(ctx, network)?.addresses;
        Some([mapped(source), mapped(destination)])
    } else {
        read::<[[u64; 2]; 2], 32>(ctx, network + 8)
    }
}

/// `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
#[inline(always)]
const fn mapped(address: u32) -> [u64; 2] {
    [0, (address as u64) << 32 | 0xffff_0000]
}

/// Whether an address is a host's: a reply has to come from the one and go to the other.
#[inline(always)]
const fn is_unicast(is_ipv4: bool, address: [u64; 2]) -> bool {
    if is_ipv4 {
        // 0.0.0.0/8 is "this host"; from 224.0.0.0 on, multicast, reserved and broadcast (RFC 6890).
        let first = (address[1] >> 32) as u8;
        first != 0 && first < 224
    } else {
        // ff00::/8 is multicast, :: is unspecified (RFC 4291 section 2.4).
        address[0] as u8 != 0xff && address[0] | address[1] != 0
    }
}

/// Whether the message is all in the frame's first buffer, and the frame short enough for the socket.
#[inline(always)]
fn check_size(ctx: &XdpContext, packet: &Packet) -> Result<(), Verdict> {
    let first_buffer = (ctx.data_end() - ctx.data()) as u64;
    // SAFETY: the helper takes the context that the kernel passed to the program.
    let whole = unsafe { aya_ebpf::helpers::generated::bpf_xdp_get_buff_len(ctx.ctx) };
    if whole != first_buffer || whole > u64::from(MAX_FRAME) {
        return Err(Verdict::TooLong);
    }
    if u64::from(packet.offset) + u64::from(packet.length) > first_buffer {
        return Err(Verdict::Malformed);
    }
    Ok(())
}

/// How many line ends there are before the start line (RFC 3261 section 7.5). With more than are skipped, what is left
/// begins with one, which no method does.
#[inline(always)]
pub fn leading_line_ends(ctx: &XdpContext, packet: &Packet) -> u32 {
    for count in 0..MAX_LEADING_CRLF {
        match octets::<2>(ctx, packet.offset + count) {
            // Keep-alives and little else: out of the way of the others.
            Some([b'\r' | b'\n', _]) if count < packet.length => cold_path(),
            _ => return count,
        }
    }
    MAX_LEADING_CRLF
}

/// Keeps an offset within what the verifier accepts for packet pointers (`MAX_PACKET_OFF`); no header is further in.
const OFFSET_MASK: usize = 0x1fff;

/// `N` octets of the frame, or `None` if they are not all there.
#[inline(always)]
fn octets<const N: usize>(ctx: &XdpContext, offset: u32) -> Option<[u8; N]> {
    read::<[u8; N], N>(ctx, offset as usize)
}

/// Two words of the frame, the first octet in the lowest bits, or `None` if they are not all there.
#[inline(always)]
pub fn words(ctx: &XdpContext, offset: u32) -> Option<[u64; 2]> {
    read::<[u64; 2], 16>(ctx, offset as usize).map(|words| words.map(u64::from_le))
}

#[inline(always)]
fn read_be16(ctx: &XdpContext, offset: usize) -> Option<u16> {
    read::<u16, 2>(ctx, offset).map(u16::from_be)
}

/// A `T` from the frame at `offset`, if the frame has `N` octets or more from there on.
///
/// `N` is there so that one comparison covers a whole header, and to have at least two octets compared: for one, LLVM
/// may write `pointer >= end`, from which the verifier learns nothing.
#[inline(always)]
fn read<T: Copy, const N: usize>(ctx: &XdpContext, offset: usize) -> Option<T> {
    const { assert!(size_of::<T>() <= N) };
    let start = ctx.data() + (offset & OFFSET_MASK);
    if start + N > ctx.data_end() {
        return None;
    }
    // SAFETY: `start + N` is within the frame, `T` is no larger, and is made of integers only, by all callers.
    Some(unsafe { (start as *const T).read_unaligned() })
}
