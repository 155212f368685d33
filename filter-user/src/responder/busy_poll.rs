//! Busy polling: for some time after a packet, the thread has the driver poll for more, instead of sleeping until an
//! interrupt (`Documentation/networking/napi.rst` and `af_xdp.rst`, both under "Busy Polling").
//!
//! The kernel polls once per `recvfrom` or `sendto` on an AF_XDP socket that has `SO_BUSY_POLL`, whatever its value
//! (`xsk_recvmsg()`, only if it is non-blocking), and never in `poll`. So this module keeps the time.
//!
//! The kernel polls the NAPI instance that it has recorded for the socket. Up to Linux 6.12, this is that of the first
//! packet. Linux 6.13 records none (since "net: napi: Add `napi_config`"). Linux 6.14 records that of the queue at
//! `bind`, but only for zero-copy sockets and drivers that report it ("xsk: Bring back busy polling support"); later
//! versions do so in copy mode too. Without a NAPI instance, and in generic mode, the thread only polls its ring, which
//! saves the wake-up.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, setsockopt};
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use serde::{Deserialize, Serialize};

sockopt_impl!(
    /// Time in microseconds for which the kernel polls the driver. For AF_XDP, it only matters if it is zero.
    BusyPollTime, Both, libc::SOL_SOCKET, libc::SO_BUSY_POLL, u32
);
sockopt_impl!(
    /// Preference to keep interrupts off between two polls, if `napi_defer_hard_irqs` and `gro_flush_timeout` are set.
    PreferBusyPoll, SetOnly, libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, u32
);
sockopt_impl!(
    /// Maximum number of packets per poll. The kernel's default is 8.
    BusyPollBudget, SetOnly, libc::SOL_SOCKET, libc::SO_BUSY_POLL_BUDGET, u32
);
sockopt_impl!(
    /// NAPI instance of the socket; 0 if the kernel has recorded none.
    IncomingNapiId, GetOnly, libc::SOL_SOCKET, libc::SO_INCOMING_NAPI_ID, u32
);

/// The time for which a thread polls after a packet.
pub(super) struct BusyPoll {
    window: Duration,
    until: Option<Instant>,
}

impl BusyPoll {
    /// Creates a time window after each packet. If it is zero, the thread never polls.
    pub(super) fn new(window: Duration) -> Self {
        Self { window, until: None }
    }

    /// Returns whether the thread ever polls.
    pub(super) fn is_enabled(&self) -> bool {
        !self.window.is_zero()
    }

    /// Starts the time window again, because packets arrived.
    pub(super) fn record_activity(&mut self, now: Instant) {
        self.until = Some(now + self.window);
    }

    /// Returns whether the last packets arrived within the time window.
    pub(super) fn is_active(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// Enables busy polling on a socket, of up to `budget` packets per poll.
///
/// # Errors
///
/// The error of the kernel with the name of the system call and its option.
pub(super) fn enable(socket: &impl AsFd, window: Duration, budget: u32) -> Result<(), (&'static str, io::Error)> {
    let named = |name: &'static str| move |error: nix::Error| (name, error.into());
    let window_us = u32::try_from(window.as_micros()).unwrap_or(i32::MAX as u32);
    setsockopt(socket, PreferBusyPoll, &1).map_err(named("setsockopt(SO_PREFER_BUSY_POLL)"))?;
    setsockopt(socket, BusyPollTime, &window_us).map_err(named("setsockopt(SO_BUSY_POLL)"))?;
    setsockopt(socket, BusyPollBudget, &budget).map_err(named("setsockopt(SO_BUSY_POLL_BUDGET)"))
}

/// The busy polling of a socket, as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Polled {
    /// Time in microseconds for which the driver is polled after a packet (`SO_BUSY_POLL`).
    pub us: u32,
    /// NAPI instance that is polled (`SO_INCOMING_NAPI_ID`). `None` if the kernel has recorded none so far, so that the
    /// thread only polls its ring.
    pub napi_id: Option<u32>,
}

impl Polled {
    /// Reads the state of a socket. Returns `None` if the kernel does not report it.
    pub(super) fn read(socket: &impl AsFd) -> Option<Self> {
        let napi_id = getsockopt(socket, IncomingNapiId).ok().filter(|id| *id != 0);
        Some(Self { us: getsockopt(socket, BusyPollTime).ok()?, napi_id })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use super::{BusyPoll, Polled, enable};

    #[test]
    fn busy_polling_is_active_for_its_window_after_the_last_packet() {
        let (start, window) = (Instant::now(), Duration::from_micros(50));
        let mut polling = BusyPoll::new(window);
        assert!(!polling.is_active(start), "active before the first packet");
        polling.record_activity(start);
        polling.record_activity(start + window / 2);
        assert!(polling.is_active(start + window));
        assert!(!polling.is_active(start + window + window / 2));
    }

    #[test]
    fn busy_polling_with_a_window_of_zero_is_never_active() {
        let now = Instant::now();
        let mut polling = BusyPoll::new(Duration::ZERO);
        polling.record_activity(now);
        assert!(!polling.is_active(now));
    }

    #[test]
    fn kernel_accepts_the_busy_polling_options_and_reports_them() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        enable(&socket, Duration::from_micros(70), 64).unwrap();
        assert_eq!(Polled::read(&socket), Some(Polled { us: 70, napi_id: None }));
    }

    #[test]
    fn error_of_a_rejected_option_names_the_option() {
        let no_socket = File::open("/dev/null").unwrap();
        let (option, error) = enable(&no_socket, Duration::from_micros(70), 64).unwrap_err();
        assert_eq!((option, error.raw_os_error()), ("setsockopt(SO_PREFER_BUSY_POLL)", Some(libc::ENOTSOCK)));
        assert_eq!(Polled::read(&no_socket), None);
    }
}
