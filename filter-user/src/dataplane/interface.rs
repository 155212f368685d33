//! A network interface: its queues, and the XDP program that is attached to it.

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

/// An interface on which calls are to be filtered.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) ifindex: u32,
    /// How many RX queues it has, numbered from 0.
    pub(crate) rx_queues: u32,
}

impl Interface {
    /// Looks the interface up by its name.
    pub(crate) fn find(name: &str) -> Result<Self, Error> {
        let (interface, channels) = Self::look_up(name)?;
        interface.check_queues(&channels)?;
        Ok(interface)
    }

    /// The same, whatever its queues are like.
    pub(crate) fn look_up(name: &str) -> Result<(Self, Channels), Error> {
        let ifindex = if_nametoindex(name).map_err(|_| Error::NoInterface { interface: name.to_owned() })?;
        let channels = read_channels(name)?;
        Ok((Self { name: name.to_owned(), ifindex, rx_queues: channels.rx }, channels))
    }

    /// Whether a reply can be sent on each RX queue. Copy-mode TX on a queue that is not there is silently lost (seen on
    /// veth with `numtxqueues 1`).
    pub(crate) fn check_queues(&self, channels: &Channels) -> Result<(), Error> {
        let &Channels { rx, tx, .. } = channels;
        if tx < rx { Err(Error::TooFewTxQueues { interface: self.name.clone(), rx, tx }) } else { Ok(()) }
    }

    /// Its channels by now: some drivers change that when an XDP program comes.
    pub(crate) fn channels(&self) -> Result<Channels, Error> {
        read_channels(&self.name)
    }

    /// The error that `program` is in our way.
    pub(crate) fn occupied_by(&self, program: &Attached) -> Error {
        Error::Occupied { interface: self.name.clone(), program: program.describe() }
    }

    /// What rtnetlink tells of the interface now.
    pub(crate) fn link(&self) -> Result<Link, Error> {
        link(self.ifindex).map_err(|source| Error::Netlink { interface: self.name.clone(), source })
    }
}

fn read_channels(interface: &str) -> Result<Channels, Error> {
    Channels::read(interface).map_err(|source| Error::Channels { interface: interface.to_owned(), source })
}

/// What may change of an interface while it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its MTU, in octets.
    pub(crate) mtu: usize,
    /// Whether it was set up (`ip link set IF up`).
    pub(crate) up: bool,
    /// Whether there is something at the other end of the wire.
    pub(crate) carrier: bool,
    /// What kind of device it is (`veth`, `bond`, `vlan` …), if it is one that software makes.
    pub(crate) kind: Option<String>,
    /// The XDP program that is attached to it.
    pub(crate) program: Option<Attached>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The id by which `bpftool prog show id` finds it.
    pub(crate) id: u32,
    /// Place in which it runs.
    pub(crate) mode: AttachMode,
}

impl Attached {
    /// The program's id and name, for a message.
    pub(crate) fn describe(&self) -> String {
        let program = loaded_programs().flatten().find(|program| program.id() == self.id);
        match program.as_ref().and_then(|program| program.name_as_str()) {
            Some(name) => format!("id {} \"{name}\" ({})", self.id, self.mode.name()),
            None => format!("id {} ({})", self.id, self.mode.name()),
        }
    }

    /// From the attributes of `IFLA_XDP`.
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

/// Asks rtnetlink for an interface.
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

/// One `RTM_GETLINK` and its answer.
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
    let mut octets = vec![0; request.buffer_len()];
    request.serialize(&mut octets);
    socket.send(&octets, 0)?;

    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(link),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        other => Err(io::Error::other(format!("unexpected answer: {other:?}"))),
    }
}
