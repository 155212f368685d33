//! A packet socket (AF_PACKET): sends and receives whole Ethernet frames on one interface of a namespace.

use std::io::IoSliceMut;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::namespace::Namespace;
use crate::packet::Packet;

/// Where the VLAN tags stand in a frame.
const AFTER_ADDRESSES: usize = 12;

/// An open packet socket.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens a packet socket on `interface` in `namespace`. It does not see what it sends itself.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        let fd = namespace.run(|| open_here(interface))??;
        set_option(&fd, libc::PACKET_AUXDATA)?;
        set_option(&fd, libc::PACKET_IGNORE_OUTGOING)?;
        Ok(Self { fd })
    }

    /// Sends one frame as it is.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        nix::unistd::write(&self.fd, frame).context("send a frame")?;
        Ok(())
    }

    /// The next frame, VLAN tags included, or none within `timeout`.
    pub fn receive(&self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        let timeout = PollTimeout::try_from(timeout).context("timeout")?;
        let mut ready = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error).context("poll the packet socket"),
        }
        self.read().map(Some)
    }

    /// The next UDP packet that `wanted` picks, or none within `timeout`; an error if one has a wrong checksum.
    pub fn receive_packet(&self, timeout: Duration, wanted: impl Fn(&Packet) -> bool) -> Result<Option<Packet>> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            let Some(frame) = self.receive(deadline.saturating_duration_since(Instant::now()))? else { continue };
            if let Some(packet) = Packet::parse(&frame)?.filter(&wanted) {
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    fn read(&self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 65536];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let mut control = nix::cmsg_space!(libc::tpacket_auxdata);
        let message = recvmsg::<()>(self.fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())
            .context("receive a frame")?;
        let tag = message.cmsgs().context("control messages")?.find_map(|message| stripped_tag(&message));
        let length = message.bytes;
        buffer.truncate(length);
        if let Some((ethertype, control)) = tag {
            let bytes = [ethertype.to_be_bytes(), control.to_be_bytes()].concat();
            buffer.splice(AFTER_ADDRESSES..AFTER_ADDRESSES, bytes);
        }
        Ok(buffer)
    }
}

/// The outer VLAN tag, which the kernel takes out of the frame and hands over beside it (packet(7)).
fn stripped_tag(message: &ControlMessageOwned) -> Option<(u16, u16)> {
    let ControlMessageOwned::Unknown(message) = message else { return None };
    let header = message.cmsg_header;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // nix does not know this message: its fields are read at their places in struct tpacket_auxdata.
    let word = |at: usize| message.data_bytes.get(at..at + 4)?.first_chunk::<4>().map(|b| u32::from_ne_bytes(*b));
    let half = |at: usize| message.data_bytes.get(at..at + 2)?.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b));
    let status = word(std::mem::offset_of!(libc::tpacket_auxdata, tp_status))?;
    let control = half(std::mem::offset_of!(libc::tpacket_auxdata, tp_vlan_tci))?;
    let ethertype = half(std::mem::offset_of!(libc::tpacket_auxdata, tp_vlan_tpid))?;
    (status & libc::TP_STATUS_VLAN_VALID != 0).then_some((ethertype, control))
}

/// A packet socket in the calling thread's namespace, bound to `interface`.
fn open_here(interface: &str) -> Result<OwnedFd> {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: `socket` takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    let fd = Errno::result(fd).context("open a packet socket")?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let index = nix::net::if_::if_nametoindex(interface).with_context(|| format!("interface {interface}"))?;
    // SAFETY: sockaddr_ll is a struct of integers and byte arrays, for which all zeros is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = i32::try_from(index).context("interface index")?;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to a live sockaddr_ll, and the length is its own.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(bound).with_context(|| format!("bind a packet socket to {interface}"))?;
    Ok(fd)
}

/// Sets a boolean option of the packet socket.
fn set_option(fd: &OwnedFd, option: libc::c_int) -> Result<()> {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to a live c_int, and the length is its own.
    let set = unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_PACKET, option, (&raw const on).cast(), length) };
    Errno::result(set).with_context(|| format!("set option {option} of a packet socket"))?;
    Ok(())
}
