//! A steady stream of datagrams from the callers' host to the proxy's, and the longest time in which none arrived.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::failure::OrFail as _;
use crate::lab::Lab;
use crate::wire::{End, Family};

/// Port of the stream, which is not a proxy's.
const PORT: u16 = 4000;
/// Time between two datagrams.
const PACE: Duration = Duration::from_millis(5);

/// A running stream.
pub(super) struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<Duration>,
}

impl Stream {
    /// Starts a stream to the proxy's address.
    ///
    /// # Panics
    ///
    /// Panics if the sockets cannot be opened.
    #[track_caller]
    pub(super) fn start(lab: &Lab) -> Self {
        let to = SocketAddr::new(End::Proxy.address(Family::V4), PORT);
        let from = lab.outside.bind_udp((End::Caller.address(Family::V4), 0).into());
        let sink = lab.inside.bind_udp(to);
        sink.set_read_timeout(Some(PACE)).or_fail("cannot set a read timeout");
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, ended) = (Arc::clone(&stop), Arc::clone(&stop));
        let sender = thread::spawn(move || send(&from, to, &ends));
        let receiver = thread::spawn(move || longest_gap(&sink, &ended));
        Self { stop, sender, receiver }
    }

    /// Ends the stream, and returns the longest time between two datagrams that arrived.
    ///
    /// # Panics
    ///
    /// Panics if a thread of the stream has panicked.
    #[track_caller]
    pub(super) fn end(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().ok().or_fail("the sender of the stream panicked");
        self.receiver.join().ok().or_fail("the receiver of the stream panicked")
    }
}

/// Sends until `stop`.
fn send(socket: &UdpSocket, to: SocketAddr, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // While the link is down, the kernel may say that there is no way to the address.
        let _ = socket.send_to(b"stream", to);
        thread::sleep(PACE);
    }
}

/// Receives until `stop`, and returns the longest time between two datagrams, or between the last one and the end.
fn longest_gap(socket: &UdpSocket, stop: &AtomicBool) -> Duration {
    let (mut last, mut longest) = (None::<Instant>, Duration::ZERO);
    let mut buffer = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        let received = match socket.recv(&mut buffer) {
            Ok(_) => true,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
            Err(_) => return Duration::MAX,
        };
        let now = Instant::now();
        longest = last.map_or(longest, |last| longest.max(now - last));
        if received {
            last = Some(now);
        }
    }
    // A stream of which nothing arrived is one gap.
    if last.is_none() { Duration::MAX } else { longest }
}
