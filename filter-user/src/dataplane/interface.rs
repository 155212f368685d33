//! A network interface: its queues, and the XDP program that is attached to it.

use std::io;

use aya::programs::loaded_programs;
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage, LinkXdp, XdpAttached};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::net::if_::if_nametoindex;

use super::Error;

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
        let ifindex = if_nametoindex(name).map_err(|_| Error::NoInterface { interface: name.to_owned() })?;
        let channels = channels(name)?;
        if channels.tx < channels.rx {
            // Copy-mode TX on a queue that is not there is silently lost (seen on veth with `numtxqueues 1`).
            return Err(Error::TooFewTxQueues { interface: name.to_owned(), rx: channels.rx, tx: channels.tx });
        }
        Ok(Self { name: name.to_owned(), ifindex, rx_queues: channels.rx })
    }

    /// How many RX queues it has by now: some drivers change that when an XDP program comes.
    pub(crate) fn rx_queues_now(&self) -> Result<u32, Error> {
        Ok(channels(&self.name)?.rx)
    }

    /// What rtnetlink tells of the interface now.
    pub(crate) fn link(&self) -> Result<Link, Error> {
        link(self.ifindex).map_err(|source| Error::Netlink { interface: self.name.clone(), source })
    }
}

fn channels(interface: &str) -> Result<Channels, Error> {
    Channels::of(interface).map_err(|source| Error::Channels { interface: interface.to_owned(), source })
}

/// How many queues an interface has in each direction.
#[derive(Clone, Copy, Debug)]
struct Channels {
    rx: u32,
    tx: u32,
}

impl Channels {
    /// As `ethtool -l` reads them. An interface whose driver does not tell has one of each.
    fn of(interface: &str) -> io::Result<Self> {
        let channels = match ethtool_channels(interface) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(Self { rx: 1, tx: 1 }),
            other => other?,
        };
        Ok(Self {
            rx: (channels.rx_count + channels.combined_count).max(1),
            tx: (channels.tx_count + channels.combined_count).max(1),
        })
    }
}

/// `struct ethtool_channels` of `include/uapi/linux/ethtool.h`.
#[repr(C)]
#[derive(Default)]
struct EthtoolChannels {
    cmd: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx_count: u32,
    tx_count: u32,
    other_count: u32,
    combined_count: u32,
}

/// `ETHTOOL_GCHANNELS`. Our own, since the `xdp` crate does not tell the count of combined channels.
fn ethtool_channels(interface: &str) -> io::Result<EthtoolChannels> {
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    let mut channels = EthtoolChannels { cmd: ETHTOOL_GCHANNELS, ..EthtoolChannels::default() };
    // SAFETY: `ifreq` is plain data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: the request names an interface and points to a `struct ethtool_channels` that outlives the call, which is
    // what SIOCETHTOOL with ETHTOOL_GCHANNELS reads and writes.
    if unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&socket), libc::SIOCETHTOOL as _, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(channels)
}

/// What may change of an interface while it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its MTU, in octets.
    pub(crate) mtu: usize,
    /// The XDP program that is attached to it.
    pub(crate) program: Option<Attached>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The id by which `bpftool prog show id` finds it.
    pub(crate) id: u32,
    /// `native` or `generic`; `offloaded` and `multiple` can only be somebody else's.
    pub(crate) mode: &'static str,
}

impl Attached {
    /// The program's id and name, for a message.
    pub(crate) fn describe(&self) -> String {
        let program = loaded_programs().flatten().find(|program| program.id() == self.id);
        match program.as_ref().and_then(|program| program.name_as_str()) {
            Some(name) => format!("id {} \"{name}\" ({})", self.id, self.mode),
            None => format!("id {} ({})", self.id, self.mode),
        }
    }

    /// From the attributes of `IFLA_XDP`.
    fn from_attributes(attributes: &[LinkXdp]) -> Option<Self> {
        let mode = attributes.iter().find_map(|attribute| match attribute {
            LinkXdp::Attached(XdpAttached::Driver) => Some("native"),
            LinkXdp::Attached(XdpAttached::SocketBuffer) => Some("generic"),
            LinkXdp::Attached(XdpAttached::Hardware) => Some("offloaded"),
            LinkXdp::Attached(XdpAttached::Multiple) => Some("multiple"),
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
    let mut link = Link { mtu: 0, program: None };
    for attribute in get_link(ifindex)?.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => link.mtu = mtu as usize,
            LinkAttribute::Xdp(attributes) => link.program = Attached::from_attributes(&attributes),
            _ => {}
        }
    }
    Ok(link)
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
