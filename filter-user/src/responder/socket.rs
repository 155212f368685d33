//! An AF_XDP socket with its UMEM. Frames are conserved: each is free, in the receive path, or in the send path.
//!
//! The order of calls for a batch is: [`receive`](QueueSocket::receive), for each request
//! [`allocate`](QueueSocket::allocate) a frame for the response, [`send`](QueueSocket::send) the responses,
//! [`flush`](QueueSocket::flush), [`free`](QueueSocket::free) the requests, [`refill`](QueueSocket::refill).

#![expect(
    unsafe_code,
    reason = "the `xdp` crate does not tie rings and packets to their UMEM, nor a descriptor to its socket"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use xdp::nic::NicIndex;
use xdp::slab::{HeapSlab, Slab as _};
use xdp::socket::{SocketError, XdpSocket, XdpSocketBuilder};
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{CompletionRing, Packet, RingConfigBuilder, RxRing, Umem, WakableFillRing, WakableTxRing};

use super::busy_poll::{self, Polled};
use super::counters::Frames;
use super::send_health::Flushed;

/// Number of entries in each ring.
const RING: u32 = 2048;
/// Number of frames in the UMEM, of 4 KiB each: for a full fill ring and a full TX ring.
const FRAMES: u32 = 2 * RING;
/// Memory that a socket locks, in bytes: its UMEM.
pub(crate) const LOCKED_BYTES_PER_QUEUE: u64 = FRAMES as u64 * 4096;
/// Maximum number of packets in a batch.
pub(super) const BATCH: usize = 64;
/// Number of frames that the kernel sends per call in copy mode (`TX_BATCH_SIZE` in `net/xdp/xsk.c`).
const TX_BATCH: usize = 32;

/// The error of a socket that cannot be opened.
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
    /// Returns the error number if a system call failed.
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
            SocketError::Bind(source) => ("binding it to the queue", source),
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

/// Checks that the kernel has AF_XDP and permits this process to use it.
pub(crate) fn probe() -> Result<(), OpenError> {
    XdpSocketBuilder::new()?;
    Ok(())
}

/// The AF_XDP socket of a queue.
pub(crate) struct QueueSocket {
    // Fields are dropped in this order: the socket is closed before its UMEM is unmapped. The safety of `open`, `send`
    // and `refill` depends on it, and on nothing else having a duplicate of the socket's descriptor.
    fill: WakableFillRing,
    rx: RxRing,
    tx: WakableTxRing,
    completion: CompletionRing,
    socket: XdpSocket,
    umem: Umem,
    /// Number of frames in the fill ring and the RX ring.
    receiving: usize,
    /// Number of frames in the TX ring and the completion ring.
    sending: usize,
}

impl QueueSocket {
    /// Opens a socket on a queue, in zero-copy mode, which the driver must support, or in copy mode.
    ///
    /// `busy_poll` is the time after a packet for which [`poll_driver`](Self::poll_driver) will be called. If it is
    /// zero, busy polling is not enabled.
    pub(crate) fn open(ifindex: u32, queue: u32, zero_copy: bool, busy_poll: Duration) -> Result<Self, OpenError> {
        let config =
            UmemCfgBuilder { frame_size: FrameSize::FourK, frame_count: FRAMES, ..Default::default() }.build()?;
        let mut umem = Umem::map(config).map_err(OpenError::Memory)?;
        let mut builder = XdpSocketBuilder::new()?;
        let rings =
            RingConfigBuilder { rx_count: RING, tx_count: RING, fill_count: RING, completion_count: RING }.build()?;
        let (mut rings, mut flags) = builder.build_wakable_rings(&umem, rings)?;
        // The fill ring is filled before `bind`: otherwise igb on Linux 6.18 receives nothing (seen in QEMU). SAFETY:
        // the UMEM outlives the socket. Here, `umem` is declared before `builder`, and so dropped after it; later, both
        // are fields of one `QueueSocket` in the right order.
        let receiving =
            unsafe { rings.fill_ring.enqueue(&mut umem, RING as usize, false) }.map_err(OpenError::Memory)?;
        // One of the two is always requested: otherwise a driver may choose zero-copy, even in generic mode.
        if zero_copy {
            flags.force_zerocopy();
        } else {
            flags.force_copy();
        }
        let socket = builder.bind(NicIndex::new(ifindex), queue, flags)?;
        let this = Self {
            fill: rings.fill_ring,
            rx: rings.rx_ring.ok_or(OpenError::Ring)?,
            tx: rings.tx_ring.ok_or(OpenError::Ring)?,
            completion: rings.completion_ring,
            socket,
            umem,
            receiving,
            sending: 0,
        };
        if !busy_poll.is_zero() {
            busy_poll::enable(&this, busy_poll, BATCH as u32)
                .map_err(|(step, source)| OpenError::Kernel { step, source })?;
        }
        Ok(this)
    }

    /// Returns the places of the frames.
    pub(super) fn frames(&self) -> Frames {
        Frames { free: self.umem.allocatable() as u64, receiving: self.receiving as u64, sending: self.sending as u64 }
    }

    /// Returns the number of redirected packets that the socket had no room for: no frame in the fill ring, or the RX
    /// ring full. Returns `None` if the kernel does not report it.
    pub(super) fn lost(&self) -> Option<u64> {
        let statistics = self.socket.statistics().ok()?;
        Some(statistics.rx_dropped + statistics.rx_ring_full)
    }

    /// Receives up to a batch of packets. There is a free frame for a response to each of them.
    ///
    /// # Safety
    ///
    /// The packets must not outlive `self`.
    pub(super) unsafe fn receive(&mut self, batch: &mut HeapSlab) -> usize {
        if self.umem.allocatable() < batch.available() {
            return 0;
        }
        // SAFETY: the packets do not outlive `self`, by the contract of this function, nor its UMEM.
        let received = unsafe { self.rx.recv(&self.umem, batch) };
        self.receiving -= received;
        received
    }

    /// Takes an empty frame.
    ///
    /// # Safety
    ///
    /// The packet must not outlive `self`.
    pub(super) unsafe fn allocate(&mut self) -> Option<Packet> {
        // SAFETY: the packet does not outlive `self`, by the contract of this function, nor its UMEM.
        unsafe { self.umem.alloc() }
    }

    /// Gives a frame back.
    pub(super) fn free(&mut self, packet: Packet) {
        self.umem.free_packet(packet);
    }

    /// Puts packets into the TX ring, and frees those that do not fit. Returns the number of packets in the ring.
    pub(super) fn send(&mut self, batch: &mut HeapSlab) -> usize {
        // Without a wake-up: `flush` wakes the kernel once for all packets.
        // SAFETY: the packets belong to this UMEM, which is unmapped after the socket is closed (see the fields).
        let queued = unsafe { self.tx.send(batch, false) }.unwrap_or(0);
        self.sending += queued;
        while let Some(packet) = batch.pop_back() {
            self.umem.free_packet(packet);
        }
        queued
    }

    /// Has the kernel send what is in the TX ring, and takes back the frames that it is done with.
    ///
    /// In copy mode, `sendto` itself sends [`TX_BATCH`] frames per call and returns EAGAIN if there are more, and EBUSY
    /// after a frame that it has dropped. The number of calls is bounded; the rest is sent with the next batch.
    ///
    /// # Errors
    ///
    /// If the kernel sends nothing now: the interface is down.
    pub(super) fn flush(&mut self) -> (Flushed, io::Result<()>) {
        let mut done = self.reclaim();
        let mut dropped = 0;
        let mut result = Ok(());
        for _ in 0..=self.sending / TX_BATCH + BATCH {
            if self.sending == 0 {
                break;
            }
            let sent = send(self.socket.as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT);
            done += self.reclaim();
            match sent {
                Ok(_) => break,
                Err(nix::Error::EBUSY) => dropped += 1,
                // There is more to send, or the queue of the device is full.
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
                Err(error) => {
                    result = Err(error.into());
                    break;
                }
            }
        }
        (Flushed { sent: (done as u64).saturating_sub(dropped), dropped }, result)
    }

    /// Takes back frames that the kernel is done with. Returns their number.
    fn reclaim(&mut self) -> usize {
        let done = self.completion.dequeue(&mut self.umem, FRAMES as usize);
        self.sending -= done;
        done
    }

    /// Fills the fill ring, as far as the responses leave enough frames.
    pub(super) fn refill(&mut self) -> io::Result<()> {
        let missing = (RING as usize).saturating_sub(self.receiving);
        // Without a wake-up: the kernel needs none in copy mode, and `wait` wakes it in zero-copy mode.
        // SAFETY: the UMEM is unmapped after the socket is closed (see the fields).
        let queued = unsafe { self.fill.enqueue(&mut self.umem, missing, false) }?;
        self.receiving += queued;
        Ok(())
    }

    /// Returns whether there is a frame for a packet that is redirected now, and another one for its response.
    pub(super) fn has_room(&self) -> bool {
        self.receiving > 0 && self.umem.allocatable() >= BATCH
    }

    /// Has the driver poll for packets once, in this thread. Takes no longer than the packets that are there.
    ///
    /// Does nothing if the kernel has no NAPI instance for the queue.
    pub(super) fn poll_driver(&self) -> io::Result<()> {
        match recv(self.socket.as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT) {
            Ok(_) | Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the busy polling of the socket, or `None` if the kernel does not report it.
    pub(super) fn polled(&self) -> Option<Polled> {
        Polled::read(self)
    }

    /// Waits for packets until the timeout. `poll` also wakes a driver that needs it (`XDP_RING_NEED_WAKEUP`).
    ///
    /// # Errors
    ///
    /// If the socket is no longer bound to the queue, because the interface is gone, or if `poll` fails.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<()> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
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

impl AsFd for QueueSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `self.socket` owns the descriptor, and lives for as long as the borrow of `self`.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}
