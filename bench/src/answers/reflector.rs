//! The limit of an answer by AF_XDP: each frame goes back with its addresses swapped, and nothing of it is parsed.
//!
//! The socket is as sip-filter's: copy mode, 2048 entries in each ring, frames of 4 KiB.

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

const RING: u32 = 2048;
const FRAMES: u32 = 2 * RING;
const BATCH: usize = 64;
/// How many frames the kernel sends in one call in copy mode (`TX_BATCH_SIZE` in `net/xdp/xsk.c`).
const TX_BATCH: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);

/// The reflector's thread; it ends with this value.
pub(super) struct Reflector {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// The thread's folder in `/proc`.
    folder: PathBuf,
}

impl Reflector {
    /// Starts the thread, on the CPU of the calling one, and waits until it is ready.
    pub(super) fn start(namespace: &Namespace) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, readiness) = channel();
        let stopped = Arc::clone(&stop);
        // A thread that is started in the namespace stays there.
        let thread = namespace.run(|| thread::spawn(move || work(&stopped, &ready)));
        let mut reflector = Self { stop, thread: Some(thread), folder: PathBuf::new() };
        let id = readiness.recv_timeout(PATIENCE).context("the AF_XDP reflector does not get ready")??;
        reflector.folder = format!("/proc/self/task/{id}").into();
        Ok(reflector)
    }

    /// The thread's folder in `/proc`.
    pub(super) fn thread(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the AF_XDP reflector has panicked");
        }
    }
}

fn work(stop: &AtomicBool, ready: &Sender<Result<Pid>>) {
    let attached = programs::load().and_then(|mut bench| {
        let socket = Socket::open()?;
        let mut sockets: XskMap<_> = programs::map(&mut bench, "REFLECTORS")?;
        sockets.set(0, socket.socket.as_raw_fd(), 0).context("the XSKMAP")?;
        let redirect = programs::program(&mut bench, "redirect")?;
        redirect.attach(PROXY_INTERFACE, XdpMode::Driver).context("attach the redirector")?;
        Ok((bench, socket))
    });
    // The receiver is gone only if nobody waits any more, and then `stop` is set.
    match attached {
        Ok((_bench, mut socket)) => {
            let _ = ready.send(Ok(nix::unistd::gettid()));
            if let Err(error) = socket.reflect(stop) {
                eprintln!("the AF_XDP reflector: {error}");
            }
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}

/// The socket with its UMEM. The order of the fields is the order in which they go: rings and socket before the memory.
struct Socket {
    fill: WakableFillRing,
    rx: RxRing,
    tx: WakableTxRing,
    completion: CompletionRing,
    socket: XdpSocket,
    umem: Umem,
    /// Frames in the fill ring and the RX ring.
    receiving: usize,
    /// Frames in the TX ring and the completion ring.
    sending: usize,
}

impl Socket {
    fn open() -> Result<Self> {
        let ifindex = nix::net::if_::if_nametoindex(PROXY_INTERFACE).context("the proxy's end of the wire")?;
        let config =
            UmemCfgBuilder { frame_size: FrameSize::FourK, frame_count: FRAMES, ..Default::default() }.build()?;
        let mut umem = Umem::map(config).context("map the UMEM")?;
        let mut builder = XdpSocketBuilder::new().context("socket(AF_XDP)")?;
        let rings =
            RingConfigBuilder { rx_count: RING, tx_count: RING, fill_count: RING, completion_count: RING }.build()?;
        let (mut rings, mut flags) = builder.build_wakable_rings(&umem, rings)?;
        // SAFETY: the UMEM is a field of the same struct as the socket, and is dropped after it.
        let receiving = unsafe { rings.fill_ring.enqueue(&mut umem, RING as usize, false) }.context("the fill ring")?;
        flags.force_copy();
        let socket = builder.bind(NicIndex::new(ifindex), 0, flags).context("bind to the queue")?;
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
            // SAFETY: the packets are all sent, or given back, before the next turn.
            let count = unsafe { self.rx.recv(&self.umem, &mut received) };
            self.receiving -= count;
            while let Some(mut packet) = received.pop_back() {
                swap_addresses(&mut packet);
                replies.push_front(packet);
            }
            // SAFETY: the packets are of this UMEM, which is dropped after the socket.
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

    /// Has the kernel send what is in the TX ring: `sendto` does it itself, a batch a call, and says EAGAIN if there is more.
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

    /// Waits for frames, or shortly for what is still to be sent, or until it is time to look whether to stop.
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

/// Ethernet, IPv4 without options, UDP: so the checksums stay right.
fn swap_addresses(frame: &mut Packet) {
    for (at, length) in [(0, 6), (26, 4), (34, 2)] {
        let (source, destination) = frame[at..at + 2 * length].split_at_mut(length);
        source.swap_with_slice(destination);
    }
}
