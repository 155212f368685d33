//! An AF_XDP socket to fill a slot of an XSKMAP, for tests in which only the slot matters.

#![expect(unsafe_code, reason = "`XdpSocket` lends its descriptor as a number only")]

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};
use xdp::nic::NicIndex;
use xdp::socket::XdpSocketBuilder;
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{RingConfigBuilder, Umem};

use crate::failure::OrFail as _;
use crate::namespace::Namespace;

/// Index of the loopback interface in any namespace.
const LOOPBACK: u32 = 1;
/// Minimum number of frames and of ring entries.
const FRAMES: u32 = 8;

/// Creates a bound socket, since Linux 7.3 takes no other into an XSKMAP (ENOBUFS).
///
/// The socket is bound to the loopback interface of its own namespace, where no packet arrives, as long as it is open.
///
/// # Panics
///
/// Panics if the kernel rejects the socket.
#[track_caller]
pub fn bound_socket() -> OwnedFd {
    Namespace::new().run(bind_to_loopback).or_fail("cannot create an AF_XDP socket on a loopback interface")
}

fn bind_to_loopback() -> Result<OwnedFd> {
    let config = UmemCfgBuilder { frame_size: FrameSize::FourK, frame_count: FRAMES, ..Default::default() }.build()?;
    let umem = Umem::map(config).context("map the UMEM")?;
    let mut builder = XdpSocketBuilder::new().context("socket(AF_XDP)")?;
    let rings = RingConfigBuilder { rx_count: FRAMES, tx_count: FRAMES, fill_count: FRAMES, completion_count: FRAMES };
    let (_rings, mut flags) = builder.build_rings(&umem, rings.build()?).context("map the rings")?;
    flags.force_copy();
    let socket = builder.bind(NicIndex::new(LOOPBACK), 0, flags).context("bind")?;
    // SAFETY: the descriptor is open as long as `socket` lives, which is longer than this statement.
    let socket = unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) };
    // The mappings of rings and frames end with this function. The kernel keeps its own reference to that memory.
    socket.try_clone_to_owned().context("duplicate the socket's descriptor")
}
