//! Netlink: requests, the messages of their replies, and dumps of rtnetlink.

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::route::RouteMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Number of attempts at a dump that the kernel reports as interrupted, because something changed meanwhile.
const ATTEMPTS: usize = 5;

/// Returns the messages on all interfaces.
pub(super) fn dump_links() -> io::Result<Vec<LinkMessage>> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let messages = dump(&RouteNetlinkMessage::GetLink(request))?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        })
        .collect())
}

/// Returns the messages on all addresses, of both IP versions.
pub(super) fn dump_addresses() -> io::Result<Vec<AddressMessage>> {
    let messages = dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewAddress(address) => Some(address),
            _ => None,
        })
        .collect())
}

/// Returns the messages on all routes of an address family.
pub(super) fn dump_routes(request: RouteMessage) -> io::Result<Vec<RouteMessage>> {
    let messages = dump(&RouteNetlinkMessage::GetRoute(request))?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewRoute(route) => Some(route),
            _ => None,
        })
        .collect())
}

/// Opens a socket of a netlink protocol.
pub(super) fn open(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    Ok(socket)
}

fn dump(request: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    for _ in 0..ATTEMPTS {
        if let Some(messages) = ask(NETLINK_ROUTE, NLM_F_DUMP, request.clone())? {
            return Ok(messages);
        }
    }
    Err(io::Error::new(io::ErrorKind::Interrupted, "the network changes faster than it can be read"))
}

/// Sends a request with these flags and reads all of its reply, up to its end or the acknowledgement. Returns `None` if
/// the reply is a dump that was interrupted.
pub(super) fn ask<M>(protocol: isize, flags: u16, request: M) -> io::Result<Option<Vec<M>>>
where
    M: NetlinkSerializable + NetlinkDeserializable,
{
    let socket = open(protocol)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let mut messages = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while let Some((bytes, further)) = split_message(rest) {
            rest = further;
            // A message that the crate cannot parse is about a device of a kind that it does not know; the others
            // count.
            let Ok(message) = NetlinkMessage::<M>::deserialize(bytes) else {
                continue;
            };
            if message.header.flags & NLM_F_DUMP_INTR != 0 {
                return Ok(None);
            }
            match message.payload {
                NetlinkPayload::InnerMessage(message) => messages.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                // An error without a code is an acknowledgement.
                NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => return Ok(Some(messages)),
                _ => {}
            }
        }
    }
}

/// Splits the first message off a datagram (`struct nlmsghdr` begins with its length; messages begin at multiples of
/// four).
fn split_message(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = u32::from_ne_bytes(*datagram.first_chunk()?) as usize;
    let message = datagram.get(..len).filter(|message| !message.is_empty())?;
    Some((message, datagram.get(len.next_multiple_of(4)..).unwrap_or_default()))
}
