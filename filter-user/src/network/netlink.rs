//! Dumps of rtnetlink: requests, and the messages of their replies.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
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

/// Opens a socket of rtnetlink.
pub(super) fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    Ok(socket)
}

fn dump(request: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    for _ in 0..ATTEMPTS {
        if let Some(messages) = dump_once(request)? {
            return Ok(messages);
        }
    }
    Err(io::Error::new(io::ErrorKind::Interrupted, "the network changes faster than it can be read"))
}

/// Sends the request and reads all of its reply. Returns `None` if the dump was interrupted.
fn dump_once(request: &RouteNetlinkMessage) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
    let socket = open()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request.clone()));
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
            let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) else {
                continue;
            };
            if message.header.flags & NLM_F_DUMP_INTR != 0 {
                return Ok(None);
            }
            match message.payload {
                NetlinkPayload::InnerMessage(message) => messages.push(message),
                NetlinkPayload::Done(_) => return Ok(Some(messages)),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
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
