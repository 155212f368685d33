//! An AF_XDP socket for the slot of an XSKMAP, where nothing but the slot matters.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};
use xdp::nic::NicIndex;
use xdp::socket::XdpSocketBuilder;
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{RingConfigBuilder, Umem};

use crate::namespace::Namespace;

/// The loopback interface, in any namespace.
const LOOPBACK: u32 = 1;
/// The least that there can be of frames and of ring entries.
const FRAMES: u32 = 8;

/// A socket that is bound, since Linux 7.3 takes no other into an XSKMAP (ENOBUFS): to the loopback of a namespace of its own,
/// where nothing comes. It stays bound as long as it is open.
pub fn bound_socket() -> Result<OwnedFd> {
    Namespace::new()?.run(|| {
        let config =
            UmemCfgBuilder { frame_size: FrameSize::FourK, frame_count: FRAMES, ..Default::default() }.build()?;
        let umem = Umem::map(config).context("map the UMEM")?;
        let mut builder = XdpSocketBuilder::new().context("socket(AF_XDP)")?;
        let rings =
            RingConfigBuilder { rx_count: FRAMES, tx_count: FRAMES, fill_count: FRAMES, completion_count: FRAMES };
        let (_rings, mut flags) = builder.build_rings(&umem, rings.build()?).context("the rings")?;
        flags.force_copy();
        let socket = builder.bind(NicIndex::new(LOOPBACK), 0, flags).context("bind to the loopback")?;
        // SAFETY: the descriptor is open as long as `socket` lives, which is longer than this statement.
        let socket = unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) };
        // What is mapped of rings and frames goes when this returns; the kernel keeps its own hold on them.
        socket.try_clone_to_owned().context("duplicate the socket's descriptor")
    })?
}
