//! Notice of changes of interfaces and addresses, by the events of rtnetlink.

#![expect(unsafe_code, reason = "tokio requires a promise that the descriptor stays open")]

use std::future::pending;
use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;
use tracing::warn;

use super::netlink;

/// Groups of `enum rtnetlink_groups` in `include/uapi/linux/rtnetlink.h`.
const GROUPS: [u32; 3] = [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR];
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;

/// Time for which further changes are awaited after the first one: an address that moves is removed and added again,
/// and a bond reports each of its ports.
const SETTLE: Duration = Duration::from_millis(20);

/// Notice of changes of interfaces and addresses.
#[derive(Debug)]
pub(crate) struct Changes(Option<AsyncFd<Socket>>);

impl Changes {
    /// Subscribes to changes. If the kernel does not allow that, there is never a notice, which is logged.
    pub(crate) fn subscribe() -> Self {
        let warn = |error: &io::Error| warn!("changes of the network are noticed up to a second late: {error}");
        Self(subscribe().inspect_err(warn).ok())
    }

    /// Waits for the next change, and a moment longer for those that follow it.
    ///
    /// Cancel safe: a change of which the caller has not been told is noticed again.
    pub(crate) async fn next(&mut self) {
        let Some(socket) = &mut self.0 else {
            return pending().await;
        };
        loop {
            let Ok(mut ready) = socket.readable().await else {
                return pending().await;
            };
            sleep(SETTLE).await;
            ready.clear_ready();
            if drain(ready.get_inner()) {
                return;
            }
        }
    }
}

fn subscribe() -> io::Result<AsyncFd<Socket>> {
    let socket = netlink::open(NETLINK_ROUTE)?;
    socket.set_non_blocking(true)?;
    GROUPS.iter().try_for_each(|group| socket.add_membership(*group))?;
    // SAFETY: the socket owns its descriptor and closes it when it is dropped. It is dropped by the `AsyncFd` alone,
    // which lends it only by shared references.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// Discards the events so far. Returns whether there were any.
///
/// Their content does not matter, because everything is read again. So it does not matter either if the socket had no
/// room for all of them (ENOBUFS).
fn drain(socket: &Socket) -> bool {
    let mut buffer = [0; 4096];
    let mut any = false;
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(_) | Err(nix::Error::ENOBUFS) => any = true,
            Err(nix::Error::EINTR) => {}
            Err(_) => return any,
        }
    }
}
