//! Busy polling: for a while after a packet the thread has the driver look for more, instead of sleeping until an interrupt
//! tells of them (`Documentation/networking/napi.rst`, and `af_xdp.rst` under the same words).
//!
//! The kernel polls once for each `recvfrom` or `sendto` on an AF_XDP socket that has SO_BUSY_POLL, however large that
//! is (`xsk_recvmsg()`: only non-blocking), and `poll` not at all; so the time is kept here.
//!
//! It polls the NAPI instance that it has noted of the socket. Up to Linux 6.12 it notes that of the first packet; 6.13
//! notes none (since "net: napi: Add napi_config"); 6.14 notes that of the queue at `bind`, of zero-copy sockets alone and
//! where the driver has told it ("xsk: Bring back busy polling support"), and later ones in copy mode too. Without
//! one, and in generic mode, the thread does no more than look at its ring for that time, which saves the waking up.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::socket::BATCH;

// `include/uapi/asm-generic/socket.h`; the libc crate does not have them.
const SO_BUSY_POLL: c_int = 46;
const SO_INCOMING_NAPI_ID: c_int = 56;
const SO_PREFER_BUSY_POLL: c_int = 69;
const SO_BUSY_POLL_BUDGET: c_int = 70;

/// Until when a thread goes on polling.
pub(crate) struct BusyPoll {
    window: Duration,
    until: Option<Instant>,
}

impl BusyPoll {
    /// Polling for `window` after each packet; zero: never.
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, until: None }
    }

    /// Packets have come.
    pub(crate) fn extend(&mut self, now: Instant) {
        self.until = Some(now + self.window);
    }

    /// Whether the last packets are not longer ago than the window.
    pub(crate) fn goes_on(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// Sets a socket up for it. The error comes with the name of the option that the kernel has refused.
pub(super) fn set_up(socket: RawFd, window: Duration) -> Result<(), (&'static str, io::Error)> {
    let window_us = c_int::try_from(window.as_micros()).unwrap_or(c_int::MAX);
    let options = [
        // Interrupts stay off between two polls, if napi_defer_hard_irqs and gro_flush_timeout are set.
        ("setsockopt(SO_PREFER_BUSY_POLL)", SO_PREFER_BUSY_POLL, 1),
        ("setsockopt(SO_BUSY_POLL)", SO_BUSY_POLL, window_us),
        // As many packets a poll as are taken from the ring at a time; the kernel's own choice is 8.
        ("setsockopt(SO_BUSY_POLL_BUDGET)", SO_BUSY_POLL_BUDGET, BATCH as c_int),
    ];
    options.into_iter().try_for_each(|(name, option, value)| set(socket, option, value).map_err(|error| (name, error)))
}

fn set(socket: RawFd, option: c_int, value: c_int) -> io::Result<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` octets at the pointer, which are those of `value`; whatever the descriptor is, it
    // is only looked at.
    if unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, option, (&raw const value).cast(), length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What the kernel has noted of a socket that is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Polled {
    /// For how long its driver is polled after a packet, in microseconds (SO_BUSY_POLL).
    pub us: u32,
    /// The NAPI instance of the driver that is polled (SO_INCOMING_NAPI_ID). `None`: the kernel knows of none, or not yet, and
    /// the thread looks only at its ring.
    pub napi_id: Option<u32>,
}

impl Polled {
    /// As it is now. `None`: the kernel does not say.
    pub(crate) fn of(socket: &impl AsRawFd) -> Option<Self> {
        let napi_id = get(socket.as_raw_fd(), SO_INCOMING_NAPI_ID).filter(|id| *id != 0);
        Some(Self { us: get(socket.as_raw_fd(), SO_BUSY_POLL)?, napi_id })
    }
}

fn get(socket: RawFd, option: c_int) -> Option<u32> {
    let mut value: u32 = 0;
    let mut length = size_of::<u32>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets to the pointer, which are those of `value`, and the length to the
    // other pointer. Both outlive the call; whatever the descriptor is, it is only looked at.
    let result =
        unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, option, (&raw mut value).cast(), &raw mut length) };
    (result == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd as _;
    use std::time::{Duration, Instant};

    use super::{BusyPoll, Polled, set_up};

    #[test]
    fn it_goes_on_for_its_time_after_the_last_packet() {
        let (start, window) = (Instant::now(), Duration::from_micros(50));
        let mut polling = BusyPoll::new(window);
        assert!(!polling.goes_on(start), "not before the first packet");
        polling.extend(start);
        polling.extend(start + window / 2);
        assert!(polling.goes_on(start + window));
        assert!(!polling.goes_on(start + window + window / 2));
    }

    #[test]
    fn without_a_time_the_thread_sleeps_at_once() {
        let now = Instant::now();
        let mut polling = BusyPoll::new(Duration::ZERO);
        polling.extend(now);
        assert!(!polling.goes_on(now));
    }

    #[test]
    fn the_kernel_takes_the_options_and_tells_them() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        set_up(socket.as_raw_fd(), Duration::from_micros(70)).unwrap();
        assert_eq!(Polled::of(&socket), Some(Polled { us: 70, napi_id: None }));
    }

    #[test]
    fn what_is_refused_is_named() {
        let (option, error) = set_up(-1, Duration::from_micros(70)).unwrap_err();
        assert_eq!((option, error.raw_os_error()), ("setsockopt(SO_PREFER_BUSY_POLL)", Some(libc::EBADF)));
    }
}
