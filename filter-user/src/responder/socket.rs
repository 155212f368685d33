//! An AF_XDP socket with its UMEM: the room of the responder with `unsafe` in it, but for two socket options.
//!
//! Frames are conserved: each is free, or with the kernel to be received into, or with the kernel to be sent.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use xdp::nic::NicIndex;
use xdp::slab::{HeapSlab, Slab as _};
use xdp::socket::{SocketError, XdpSocket, XdpSocketBuilder};
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{CompletionRing, Packet, RingConfigBuilder, RxRing, Umem, WakableFillRing, WakableTxRing};

use super::busy_poll;
use super::counters::Frames;

/// Entries in each ring.
const RING: u32 = 2048;
/// Frames in the UMEM, of 4 KiB each: a full fill ring, and as many to be sent.
const FRAMES: u32 = 2 * RING;
/// How much memory a socket locks, in octets: its UMEM.
pub(crate) const LOCKED: u64 = FRAMES as u64 * 4096;
/// How many frames are taken from or given to a ring at a time.
pub(crate) const BATCH: usize = 64;
/// How many frames the kernel sends in one call in copy mode (`TX_BATCH_SIZE` in `net/xdp/xsk.c`).
const TX_BATCH: usize = 32;

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("cannot map its memory: {0}")]
    Memory(io::Error),
    #[error("{step}: {source}")]
    Kernel { step: &'static str, source: io::Error },
    #[error("{0}")]
    Library(xdp::error::Error),
    #[error("the kernel gave it no RX or TX ring")]
    Ring,
}

impl OpenError {
    /// The system call's error, if it was one.
    pub(crate) fn os_error(&self) -> Option<i32> {
        match self {
            Self::Memory(error) | Self::Kernel { source: error, .. } => error.raw_os_error(),
            Self::Library(_) | Self::Ring => None,
        }
    }
}

impl From<SocketError> for OpenError {
    fn from(error: SocketError) -> Self {
        let (step, source) = match error {
            SocketError::SocketCreation(source) => ("socket(AF_XDP)", source),
            SocketError::SetSockOpt { inner, .. } => ("registering its memory and rings", inner),
            SocketError::GetSockOpt { inner, .. } => ("reading the layout of its rings", inner),
            SocketError::RingMap { inner, .. } => ("mapping its rings", inner),
            SocketError::Bind(source) => ("bind to the queue", source),
        };
        Self::Kernel { step, source }
    }
}

impl From<xdp::error::Error> for OpenError {
    fn from(error: xdp::error::Error) -> Self {
        match error {
            xdp::error::Error::Socket(error) => error.into(),
            other => Self::Library(other),
        }
    }
}

/// Whether the kernel has AF_XDP and lets us have a socket of it.
pub(crate) fn probe() -> Result<(), OpenError> {
    XdpSocketBuilder::new()?;
    Ok(())
}

/// One queue's socket.
///
/// The order of the fields is the order in which they go: the rings and the socket before the memory.
pub(crate) struct QueueSocket {
    fill: WakableFillRing,
    rx: RxRing,
    tx: WakableTxRing,
    completion: CompletionRing,
    socket: Arc<XdpSocket>,
    umem: Umem,
    /// Frames in the fill ring and the RX ring.
    receiving: usize,
    /// Frames in the TX ring and the completion ring.
    sending: usize,
}

impl QueueSocket {
    /// Opens a socket on a queue. `zero_copy`: only if the driver can; otherwise in copy mode, which any can. `busy_poll`:
    /// for how long after a packet [`QueueSocket::poll_driver`] will be called; zero: not at all.
    pub(crate) fn open(ifindex: u32, queue: u32, zero_copy: bool, busy_poll: Duration) -> Result<Self, OpenError> {
        let config =
            UmemCfgBuilder { frame_size: FrameSize::FourK, frame_count: FRAMES, ..Default::default() }.build()?;
        let mut umem = Umem::map(config).map_err(OpenError::Memory)?;
        let mut builder = XdpSocketBuilder::new()?;
        let rings =
            RingConfigBuilder { rx_count: RING, tx_count: RING, fill_count: RING, completion_count: RING }.build()?;
        let (mut rings, mut flags) = builder.build_wakable_rings(&umem, rings)?;
        // The fill ring is filled before bind: igb on Linux 6.18 receives nothing otherwise (seen in QEMU).
        // SAFETY: the UMEM is a field of the same struct as the socket, and is dropped after it.
        let receiving =
            unsafe { rings.fill_ring.enqueue(&mut umem, RING as usize, false) }.map_err(OpenError::Memory)?;
        // Asked for explicitly either way: a driver may come up zero-copy by itself, even in generic mode.
        if zero_copy {
            flags.force_zerocopy()
        } else {
            flags.force_copy()
        }
        let socket = builder.bind(NicIndex::new(ifindex), queue, flags)?;
        if !busy_poll.is_zero() {
            busy_poll::set_up(socket.as_raw_fd(), busy_poll)
                .map_err(|(step, source)| OpenError::Kernel { step, source })?;
        }
        Ok(Self {
            fill: rings.fill_ring,
            rx: rings.rx_ring.ok_or(OpenError::Ring)?,
            tx: rings.tx_ring.ok_or(OpenError::Ring)?,
            completion: rings.completion_ring,
            socket: Arc::new(socket),
            umem,
            receiving,
            sending: 0,
        })
    }

    /// The socket itself, for the XSKMAP and for its statistics.
    pub(crate) fn socket(&self) -> Arc<XdpSocket> {
        Arc::clone(&self.socket)
    }

    /// Where the frames are.
    pub(crate) fn frames(&self) -> Frames {
        Frames { free: self.umem.allocatable() as u64, receiving: self.receiving as u64, sending: self.sending as u64 }
    }

    /// Takes what has been received, up to a batch and no more than can be answered: as many as there are free frames.
    ///
    /// # Safety
    ///
    /// The packets must not outlive `self`.
    pub(crate) unsafe fn receive(&mut self, batch: &mut HeapSlab) -> usize {
        if self.umem.allocatable() < batch.available() {
            return 0;
        }
        // SAFETY: the caller keeps the packets no longer than the UMEM.
        let received = unsafe { self.rx.recv(&self.umem, batch) };
        self.receiving -= received;
        received
    }

    /// A free frame, empty.
    ///
    /// # Safety
    ///
    /// The packet must not outlive `self`.
    pub(crate) unsafe fn allocate(&mut self) -> Option<Packet> {
        // SAFETY: the caller keeps the packet no longer than the UMEM.
        unsafe { self.umem.alloc() }
    }

    /// Takes a frame back.
    pub(crate) fn free(&mut self, packet: Packet) {
        self.umem.free_packet(packet);
    }

    /// Puts replies into the TX ring; what it has no room for is freed. Returns how many were put in.
    pub(crate) fn send(&mut self, batch: &mut HeapSlab) -> usize {
        // Without a wake-up: `flush` does it once for all.
        // SAFETY: the packets are of this UMEM, which is dropped after the socket.
        let queued = unsafe { self.tx.send(batch, false) }.unwrap_or(0);
        self.sending += queued;
        while let Some(packet) = batch.pop_back() {
            self.umem.free_packet(packet);
        }
        queued
    }

    /// Gets the kernel to send what is in the TX ring, and takes back what it has sent.
    ///
    /// In copy mode `sendto` itself does the sending, [`TX_BATCH`] frames a call, and says EAGAIN when there is more. What is left after a bounded number of calls goes out in the next round.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.reclaim();
        for _ in 0..=self.sending / TX_BATCH {
            if self.sending == 0 {
                break;
            }
            let sent = send(self.socket.as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT);
            self.reclaim();
            match sent {
                Ok(_) => break,
                // More to send; or no room in the queue of the device just now.
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes back frames that have been sent.
    fn reclaim(&mut self) {
        self.sending -= self.completion.dequeue(&mut self.umem, FRAMES as usize);
    }

    /// Gives the kernel frames to receive into, as many as a full fill ring has, if the replies leave enough.
    pub(crate) fn refill(&mut self) -> io::Result<()> {
        let missing = (RING as usize).saturating_sub(self.receiving);
        // In copy mode the kernel takes them without being woken; in zero-copy mode `wait` wakes it.
        // SAFETY: the UMEM is dropped after the socket.
        let queued = unsafe { self.fill.enqueue(&mut self.umem, missing, false) }?;
        self.receiving += queued;
        Ok(())
    }

    /// Whether a packet that is redirected now will find a frame, and its reply another one.
    pub(crate) fn has_room(&self) -> bool {
        self.receiving > 0 && self.umem.allocatable() >= BATCH
    }

    /// Has the driver look for packets once, in this thread; it takes no longer than the packets that are there.
    ///
    /// Where the kernel knows of no NAPI instance for the queue it does nothing.
    pub(crate) fn poll_driver(&self) -> io::Result<()> {
        match recv(self.socket.as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT) {
            Ok(_) | Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for packets, at most for `timeout`. `poll` also wakes a driver that needs to be (need_wakeup).
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<()> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        // SAFETY: the descriptor is open as long as `self.socket` lives, which is longer than this call.
        let fd = unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) };
        let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        if events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the socket is no longer bound to the queue"));
        }
        Ok(())
    }
}
