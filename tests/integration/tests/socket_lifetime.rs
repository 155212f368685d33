//! The lifetime of AF_XDP sockets: a responder thread owns its socket, which is closed when the thread ends.
//!
//! The test counts the sockets of its own process. So it runs the data plane in this process, and is alone in its file.
#![cfg(test)]
#![expect(unsafe_code, reason = "descriptors of this process are read from `/proc`, which names them as numbers")]

use std::fs;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use aya::maps::{HashMap, Map, MapData};
use filter_common::maps::{MAX_QUEUES, QUEUES, QueueKey, QueueState};
use filter_lab::namespace::Namespace;
use filter_lab::wait;
use filter_lab::wire::{self, PROXY_INTERFACE, WireOptions};
use filter_reply::TagSecret;
use filter_user::dataplane::{DataPlane, Mode, Options};
use filter_user::domain::{Policy, Shielded};
use nix::libc;
use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// Address family of a socket.
    Domain, GetOnly, libc::SOL_SOCKET, libc::SO_DOMAIN, i32
);

/// Returns the number of AF_XDP sockets that this process has open.
fn open_xdp_sockets() -> usize {
    let is_xdp = |descriptor: i32| {
        // SAFETY: the descriptor is only passed to `getsockopt`, which fails if it is not a socket or has been closed.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        getsockopt(&descriptor, Domain) == Ok(libc::AF_XDP)
    };
    let names = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| is_xdp(name.to_str().unwrap().parse().unwrap())).count()
}

/// Returns the map of leases that this process has open.
fn leases() -> HashMap<MapData, QueueKey, QueueState> {
    let descriptors = fs::read_dir("/proc/self/fdinfo").unwrap();
    let infos = descriptors.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    let ids = infos.filter_map(|info| info.lines().find_map(|line| line.strip_prefix("map_id:\t")?.parse().ok()));
    let mut maps = ids.map(|id| MapData::from_id(id).unwrap());
    let map = maps.find(|map| map.info().unwrap().name_as_str() == Some(QUEUES)).expect("no map of leases");
    Map::HashMap(map).try_into().unwrap()
}

/// Fills the map with entries of other queues, so that the leases on `interface` cannot be renewed.
fn crowd_out(leases: &mut HashMap<MapData, QueueKey, QueueState>, interface: u32) {
    let own: Vec<_> = leases.keys().map(Result::unwrap).filter(|key| key.ifindex == interface).collect();
    for key in &own {
        leases.remove(key).unwrap();
    }
    for queue in 0..MAX_QUEUES {
        let key = QueueKey { ifindex: u32::MAX, queue };
        let state = QueueState { redirect_until_ns: 0, socket: 0, reserved: 0 };
        // Fails if a lease has just been renewed. The next call removes it.
        let _ = leases.insert(key, state, 0);
    }
}

#[test]
fn socket_is_closed_when_its_responder_thread_ends() {
    let (outside, inside) = (Namespace::new(), Namespace::new());
    wire::connect(&outside, &inside, WireOptions { queues: 2, ..WireOptions::default() });
    let options = Options {
        interfaces: vec![PROXY_INTERFACE.to_owned()],
        shielded: Shielded::Local,
        ports: vec![5060],
        mode: Mode::Auto,
        zero_copy: false,
        cpus: None,
        busy_poll: Duration::ZERO,
        lease: Duration::from_secs(1),
        transactions: 1024,
        force_rport: false,
        tag: TagSecret::from_random(&[7; 24]),
        debug: false,
    };
    let plane = inside.run(|| DataPlane::start(&options, &Arc::new(Policy::default()))).unwrap();
    assert_eq!(open_xdp_sockets(), 2);

    // A thread that cannot renew its lease ends. The data plane is still there.
    let (mut leases, interface) = (leases(), plane.status().unwrap().interfaces[0].ifindex);
    wait::until("the sockets to be closed", Duration::from_secs(5), || {
        crowd_out(&mut leases, interface);
        open_xdp_sockets() == 0
    });
    plane.stop().unwrap_err();
}
