//! A network interface: its queues, its link, and the XDP program that is attached to it.

use std::io;

use aya::programs::loaded_programs;
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::net::if_::if_nametoindex;

use super::ethtool::Channels;
use super::{AttachMode, Error};

/// An interface on which calls arrive.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    /// Name.
    pub(crate) name: String,
    /// Interface index.
    pub(crate) ifindex: u32,
    /// Number of RX queues, which are numbered from 0.
    pub(crate) rx_queues: u32,
}

impl Interface {
    /// Finds the interface by its name, and checks its queues.
    pub(crate) fn find(name: &str) -> Result<Self, Error> {
        let (interface, channels) = Self::look_up(name)?;
        interface.check_queues(&channels)?;
        Ok(interface)
    }

    /// Finds the interface by its name, and returns it with its channels, unchecked.
    pub(crate) fn look_up(name: &str) -> Result<(Self, Channels), Error> {
        let ifindex = if_nametoindex(name).map_err(|_errno| Error::NoInterface { interface: name.to_owned() })?;
        let channels = read_channels(name)?;
        Ok((Self { name: name.to_owned(), ifindex, rx_queues: channels.rx }, channels))
    }

    /// Checks that each RX queue has a TX queue for its replies. In copy mode, a frame for a TX queue that does not
    /// exist is silently lost (seen on veth with `numtxqueues 1`).
    pub(crate) fn check_queues(&self, channels: &Channels) -> Result<(), Error> {
        let &Channels { rx, tx, .. } = channels;
        if tx < rx { Err(Error::TooFewTxQueues { interface: self.name.clone(), rx, tx }) } else { Ok(()) }
    }

    /// Reads the channels. Some drivers change them when an XDP program is attached.
    pub(crate) fn channels(&self) -> Result<Channels, Error> {
        read_channels(&self.name)
    }

    /// Returns the error for an interface to which `program` is already attached.
    pub(crate) fn occupied_by(&self, program: Attached) -> Error {
        Error::Occupied { interface: self.name.clone(), program: program.describe() }
    }

    /// Reads the state of the link from rtnetlink.
    pub(crate) fn link(&self) -> Result<Link, Error> {
        link(self.ifindex).map_err(|source| Error::Netlink { interface: self.name.clone(), source })
    }
}

fn read_channels(interface: &str) -> Result<Channels, Error> {
    Channels::read(interface).map_err(|source| Error::Channels { interface: interface.to_owned(), source })
}

/// The state of an interface that may change while it exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// MTU in bytes.
    pub(crate) mtu: usize,
    /// True if it is administratively up (`ip link set IF up`).
    pub(crate) up: bool,
    /// True if it has a carrier.
    pub(crate) carrier: bool,
    /// Kind of a virtual device (`veth`, `bond`, `vlan` …); `None` for a physical one.
    pub(crate) kind: Option<String>,
    /// XDP program that is attached to it.
    pub(crate) program: Option<Attached>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// Id (`bpftool prog show id`).
    pub(crate) id: u32,
    /// Place in which it runs.
    pub(crate) mode: AttachMode,
}

impl Attached {
    /// Returns the program's id, name and place, for a message.
    pub(crate) fn describe(self) -> String {
        let program = loaded_programs().flatten().find(|program| program.id() == self.id);
        match program.as_ref().and_then(|program| program.name_as_str()) {
            Some(name) => format!("id {} \"{name}\" ({})", self.id, self.mode.name()),
            None => format!("id {} ({})", self.id, self.mode.name()),
        }
    }

    /// Reads the attributes of `IFLA_XDP`.
    fn from_attributes(attributes: &[LinkXdp]) -> Option<Self> {
        let mode = attributes.iter().find_map(|attribute| match attribute {
            LinkXdp::Attached(XdpAttached::Driver) => Some(AttachMode::Native),
            LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(AttachMode::Generic),
            LinkXdp::Attached(XdpAttached::Hardware) => Some(AttachMode::Offloaded),
            LinkXdp::Attached(XdpAttached::Multiple) => Some(AttachMode::Multiple),
            _ => None,
        })?;
        let id = attributes.iter().find_map(|attribute| match attribute {
            LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => Some(*id),
            _ => None,
        })?;
        Some(Self { id, mode })
    }
}

/// Reads the state of an interface from rtnetlink.
fn link(ifindex: u32) -> io::Result<Link> {
    let message = get_link(ifindex)?;
    let has = |flag| message.header.flags.contains(flag);
    let mut link = Link { up: has(LinkFlags::Up), carrier: has(LinkFlags::LowerUp), ..Link::default() };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::LinkInfo(infos) => link.kind = kind(&infos),
            LinkAttribute::Mtu(mtu) => link.mtu = mtu as usize,
            LinkAttribute::Xdp(attributes) => link.program = Attached::from_attributes(&attributes),
            _ => {}
        }
    }
    Ok(link)
}

fn kind(infos: &[LinkInfo]) -> Option<String> {
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

/// Sends an `RTM_GETLINK`, and returns its reply.
fn get_link(ifindex: u32) -> io::Result<LinkMessage> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(RouteNetlinkMessage::GetLink(message)));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let (reply, _) = socket.recv_from_full()?;
    let reply = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&reply).map_err(io::Error::other)?;
    match reply.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(link),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        other => Err(io::Error::other(format!("unexpected reply: {other:?}"))),
    }
}
