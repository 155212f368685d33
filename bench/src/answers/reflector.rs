//! The limit of a responder on AF_XDP: each frame goes back with its addresses swapped, and is not parsed.
//!
//! The socket has the settings of sip-filter's: copy mode, 2048 entries in each ring, frames of 4 KiB.
#![expect(unsafe_code, reason = "the rings of the crate `xdp` require that the UMEM outlives their packets")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use aya::maps::XskMap;
use aya::programs::xdp::XdpMode;
use filter_lab::namespace::Namespace;
use filter_lab::wire::PROXY_INTERFACE;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::Pid;
use xdp::nic::NicIndex;
use xdp::slab::{HeapSlab, Slab as _};
use xdp::socket::{XdpSocket, XdpSocketBuilder};
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{CompletionRing, Packet, RingConfigBuilder, RxRing, Umem, WakableFillRing, WakableTxRing};

use crate::programs;

/// Number of entries in each ring.
const RING: u32 = 2048;
/// Number of frames in the UMEM.
const FRAMES: u32 = 2 * RING;
/// Maximum number of frames received at a time.
const BATCH: usize = 64;
/// Number of frames that the kernel sends in one call in copy mode (`TX_BATCH_SIZE` in `net/xdp/xsk.c`).
const TX_BATCH: usize = 32;
/// Time limit for the thread to get ready.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The thread of the reflector. Dropping it stops the thread.
pub(super) struct Reflector {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Directory of the thread in `/proc`.
    proc_path: PathBuf,
}

impl Reflector {
    /// Starts the thread on the CPU of the calling one, and waits until it is ready.
    pub(super) fn start(namespace: &Namespace) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, readiness) = channel();
        let stopped = Arc::clone(&stop);
        // A thread started in the namespace stays there.
        let thread = namespace.run(|| thread::spawn(move || work(&stopped, &ready)));
        let mut reflector = Self { stop, thread: Some(thread), proc_path: PathBuf::new() };
        let id = readiness.recv_timeout(START_TIMEOUT).context("wait for the AF_XDP reflector to get ready")??;
        reflector.proc_path = format!("/proc/self/task/{id}").into();
        Ok(reflector)
    }

    /// Returns the directory of the thread in `/proc`.
    pub(super) fn proc_path(&self) -> &Path {
        &self.proc_path
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the AF_XDP reflector panicked");
        }
    }
}

/// Reflects frames until `stop` is set. Sends the thread's id when it is ready, or the reason why it cannot be.
fn work(stop: &AtomicBool, ready: &Sender<Result<Pid>>) {
    let attached = programs::load().and_then(|mut bench| {
        let queue = Queue::open()?;
        let mut sockets: XskMap<_> = programs::map(&mut bench, "REFLECTORS")?;
        sockets.set(0, queue.socket.as_raw_fd(), 0).context("put the socket into the XSKMAP")?;
        let redirect = programs::program(&mut bench, "redirect")?;
        redirect.attach(PROXY_INTERFACE, XdpMode::Driver).context("attach the redirector")?;
        Ok((bench, queue))
    });
    // Sending fails only if `start` has given up waiting. It sets `stop` then.
    match attached {
        Ok((_bench, mut queue)) => {
            let _ = ready.send(Ok(nix::unistd::gettid()));
            if let Err(error) = queue.reflect(stop) {
                eprintln!("the AF_XDP reflector: {error}");
            }
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}

/// The proxy's only RX and TX queue: the socket with its rings and its UMEM. Fields are dropped in order, so the rings
/// and the socket go before the memory.
struct Queue {
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

impl Queue {
    fn open() -> Result<Self> {
        let ifindex = nix::net::if_::if_nametoindex(PROXY_INTERFACE).context("find the proxy's end of the wire")?;
        let config =
            UmemCfgBuilder { frame_size: FrameSize::FourK, frame_count: FRAMES, ..Default::default() }.build()?;
        let mut umem = Umem::map(config).context("map the UMEM")?;
        let mut builder = XdpSocketBuilder::new().context("open an AF_XDP socket")?;
        let rings =
            RingConfigBuilder { rx_count: RING, tx_count: RING, fill_count: RING, completion_count: RING }.build()?;
        let (mut rings, mut flags) = builder.build_wakable_rings(&umem, rings)?;
        // SAFETY: the UMEM is a field of the same struct as the socket, and is dropped after it.
        let receiving =
            unsafe { rings.fill_ring.enqueue(&mut umem, RING as usize, false) }.context("fill the fill ring")?;
        flags.force_copy();
        let socket = builder.bind(NicIndex::new(ifindex), 0, flags).context("bind the AF_XDP socket to the queue")?;
        Ok(Self {
            fill: rings.fill_ring,
            rx: rings.rx_ring.ok_or_else(|| anyhow!("no RX ring"))?,
            tx: rings.tx_ring.ok_or_else(|| anyhow!("no TX ring"))?,
            completion: rings.completion_ring,
            socket,
            umem,
            receiving,
            sending: 0,
        })
    }

    fn reflect(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut received = HeapSlab::with_capacity(BATCH);
        let mut replies = HeapSlab::with_capacity(BATCH);
        while !stop.load(Ordering::Relaxed) {
            // SAFETY: all packets are sent or freed before the end of the iteration, so none outlives the UMEM.
            let count = unsafe { self.rx.recv(&self.umem, &mut received) };
            self.receiving -= count;
            while let Some(mut packet) = received.pop_back() {
                swap_addresses(&mut packet);
                replies.push_front(packet);
            }
            // SAFETY: the packets belong to this UMEM, which is dropped after the socket.
            self.sending += unsafe { self.tx.send(&mut replies, false) }?;
            while let Some(packet) = replies.pop_back() {
                self.umem.free_packet(packet);
            }
            self.flush()?;
            let missing = RING as usize - self.receiving;
            // SAFETY: the UMEM is dropped after the socket.
            self.receiving += unsafe { self.fill.enqueue(&mut self.umem, missing, false) }?;
            if count == 0 {
                self.wait()?;
            }
        }
        Ok(())
    }

    /// Makes the kernel send the frames in the TX ring. In copy mode `sendto` sends a batch itself, and returns EAGAIN
    /// if there are more.
    fn flush(&mut self) -> io::Result<()> {
        self.sending -= self.completion.dequeue(&mut self.umem, FRAMES as usize);
        for _ in 0..=self.sending / TX_BATCH {
            if self.sending == 0 {
                break;
            }
            let sent = send(self.socket.as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT);
            self.sending -= self.completion.dequeue(&mut self.umem, FRAMES as usize);
            match sent {
                Ok(_) => break,
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until a frame arrives, or 1 ms if frames remain to be sent, or 50 ms, after which the caller checks
    /// whether to stop.
    fn wait(&self) -> io::Result<()> {
        let timeout = PollTimeout::from(if self.sending > 0 { 1_u8 } else { 50 });
        // SAFETY: the descriptor is open as long as `self.socket` lives, which is longer than this call.
        let fd = unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) };
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Swaps the source and destination in the headers of Ethernet, IPv4 without options, and UDP. The checksums stay
/// valid.
fn swap_addresses(frame: &mut Packet) {
    for (at, length) in [(0, 6), (26, 4), (34, 2)] {
        let (source, destination) = frame[at..at + 2 * length].split_at_mut(length);
        source.swap_with_slice(destination);
    }
}
