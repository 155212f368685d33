//! A packet socket (`AF_PACKET`): sends and receives whole Ethernet frames on one interface of a namespace.

#![expect(unsafe_code, reason = "nix cannot create a `sockaddr_ll`, and does not have the options of packet sockets")]

use std::io::IoSliceMut;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, socket,
};

use crate::failure::OrFail as _;
use crate::namespace::Namespace;
use crate::packet::Packet;

/// Offset of the VLAN tags in a frame.
const AFTER_ADDRESSES: usize = 12;

/// An open packet socket.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens a packet socket on `interface` in `namespace`. It does not receive what it sends.
    ///
    /// # Panics
    ///
    /// Panics if there is no such interface, or the kernel rejects the socket.
    #[track_caller]
    pub fn open(namespace: &Namespace, interface: &str) -> Self {
        let open = || {
            let kind = (AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
            let fd = socket(kind.0, kind.1, kind.2, kind.3)?;
            bind(&fd, nix::net::if_::if_nametoindex(interface)?)?;
            set_option(&fd, libc::PACKET_AUXDATA)?;
            set_option(&fd, libc::PACKET_IGNORE_OUTGOING)?;
            Ok::<_, Errno>(fd)
        };
        Self { fd: namespace.run(open).or_fail(format_args!("cannot open a packet socket on {interface}")) }
    }

    /// Sends one frame as it is.
    ///
    /// # Panics
    ///
    /// Panics if the kernel does not send it.
    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        nix::unistd::write(&self.fd, frame).or_fail("cannot send a frame");
    }

    /// Returns the next frame, including its VLAN tags, or `None` if there is none within `timeout`.
    ///
    /// # Panics
    ///
    /// Panics if the kernel returns an error.
    #[track_caller]
    pub fn receive(&self, timeout: Duration) -> Option<Vec<u8>> {
        let timeout = PollTimeout::try_from(timeout).or_fail(format_args!("a timeout of {timeout:?}"));
        let mut ready = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, timeout) {
            Ok(0) | Err(Errno::EINTR) => None,
            Ok(_) => Some(self.read()),
            Err(error) => panic!("cannot poll the packet socket: {error}"),
        }
    }

    /// Returns the next UDP packet that `is_wanted` accepts, or `None` if there is none within `timeout`.
    ///
    /// # Panics
    ///
    /// Panics if a received frame has a wrong length or checksum.
    #[track_caller]
    pub fn receive_packet(&self, timeout: Duration, is_wanted: impl Fn(&Packet) -> bool) -> Option<Packet> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            let Some(frame) = self.receive(deadline.saturating_duration_since(Instant::now())) else { continue };
            let packet = Packet::parse(&frame).or_fail("received a broken frame");
            if let Some(packet) = packet.filter(&is_wanted) {
                return Some(packet);
            }
        }
        None
    }

    #[track_caller]
    fn read(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65536];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let mut control = nix::cmsg_space!(libc::tpacket_auxdata);
        let message = recvmsg::<()>(self.fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())
            .or_fail("cannot receive a frame");
        let mut messages = message.cmsgs().or_fail("truncated control messages of a packet socket");
        let tag = messages.find_map(|message| stripped_tag(&message));
        let length = message.bytes;
        buffer.truncate(length);
        if let Some((ethertype, control)) = tag {
            let bytes = [ethertype.to_be_bytes(), control.to_be_bytes()].concat();
            buffer.splice(AFTER_ADDRESSES..AFTER_ADDRESSES, bytes);
        }
        buffer
    }
}

/// Returns the outer VLAN tag, which the kernel removes from the frame and passes separately (packet(7)).
fn stripped_tag(message: &ControlMessageOwned) -> Option<(u16, u16)> {
    let ControlMessageOwned::Unknown(message) = message else { return None };
    let header = message.cmsg_header;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // nix does not know this message, so its members are read at their offsets in struct tpacket_auxdata.
    let word = |at: usize| message.data_bytes.get(at..at + 4)?.first_chunk::<4>().map(|b| u32::from_ne_bytes(*b));
    let half = |at: usize| message.data_bytes.get(at..at + 2)?.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b));
    let status = word(std::mem::offset_of!(libc::tpacket_auxdata, tp_status))?;
    let control = half(std::mem::offset_of!(libc::tpacket_auxdata, tp_vlan_tci))?;
    let ethertype = half(std::mem::offset_of!(libc::tpacket_auxdata, tp_vlan_tpid))?;
    (status & libc::TP_STATUS_VLAN_VALID != 0).then_some((ethertype, control))
}

/// Binds the packet socket to the interface with this index.
fn bind(fd: &OwnedFd, interface: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: sockaddr_ll is a struct of integers and byte arrays, for which all zeros is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = i32::try_from(interface).or(Err(Errno::ENODEV))?;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to a live sockaddr_ll, and the length is its own.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(result).map(drop)
}

/// Sets a boolean option of the packet socket.
fn set_option(fd: &OwnedFd, option: libc::c_int) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to a live c_int, and the length is its own.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_PACKET, option, (&raw const on).cast(), length) };
    Errno::result(result).map(drop)
}
