//! A container with an ipvlan device in mode l3, which does not send what an AF_XDP socket gives it.

use std::thread;
use std::time::{Duration, Instant};

use super::calls::{Fate, fate_within};
use super::health::{expect_alarm, switch_on};
use super::links::host;
use super::{Scenario, scenario};
use crate::caller::Caller;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::sip_server::PORT;
use crate::wire::{self, End, Family, PROXY_INTERFACE, WireOptions};

pub(super) const SCENARIOS: &[Scenario] =
    &[scenario!("ipvlan", queue_whose_sends_all_fail_gives_up_its_lease, &["veth"], &["ipvlan"])];

/// Interface of the container.
const DEVICE: &str = "ipvlan0";
/// Address of the container.
const ADDRESS: [u8; 4] = [198, 18, 60, 2];

fn queue_whose_sends_all_fail_gives_up_its_lease() {
    /// Calls that may vanish until the daemon notices, one each 200 ms.
    const MOST: usize = 20;
    /// Time after which a caller sends an INVITE again.
    const T1: Duration = Duration::from_millis(500);
    /// Time for which the calls are watched that follow.
    const PERIOD: Duration = Duration::from_secs(10);
    /// Attempts in this time, of which each follows twice as long after the one before, beginning with 1 s.
    const MOST_ATTEMPTS: usize = 4;
    let (lab, _host, caller) = container();
    lab.expect_call_accepted(&caller);
    let _daemon = lab.filter.start(&["--iface", DEVICE, "--mode", "generic"]);
    switch_on(&lab);
    let fates = (0..MOST).map(|_| fate_within(Duration::from_millis(200), &lab.server, &caller));
    let vanished = fates.take_while(|fate| *fate == Fate::Unanswered).count();
    assert!(vanished < MOST, "{MOST} calls in a row vanished: {:?}", lab.filter.stats());
    expect_alarm(&lab, &[DEVICE, "send"]);
    // From time to time the daemon tries whether the kernel sends again. The INVITE of such an attempt is lost, and is
    // sent again by the caller half a second later (RFC 3261 section 17.1.1.2).
    let mut attempts = 0;
    let end = Instant::now() + PERIOD;
    while Instant::now() < end {
        let invite = caller.invite();
        let first = caller.ask_within(&invite, T1);
        attempts += usize::from(first.is_none());
        let response = first.or_else(|| caller.ask_within(&invite, T1));
        assert_eq!(response.and_then(|response| response.status()), Some(200), "{:?}", lab.filter.stats());
        thread::sleep(Duration::from_millis(100));
    }
    assert!(attempts <= MOST_ATTEMPTS, "{attempts} INVITEs were lost in {PERIOD:?}");
}

/// Creates a laboratory whose inner host is a container, and returns it with the container's host, which has the wire,
/// and a caller of the container.
#[track_caller]
fn container() -> (Lab, Namespace, Caller) {
    let (outside, between, container) = (host(), host(), host());
    wire::connect(&outside, &between, WireOptions::default());
    between.ip(&format!("link add link {PROXY_INTERFACE} name {DEVICE} type ipvlan mode l3"));
    between.ip(&format!("link set {DEVICE} netns {}", container.path().display()));
    let [a, b, c, d] = ADDRESS;
    container.ip(&format!("address add {a}.{b}.{c}.{d}/32 dev {DEVICE}"));
    container.ip(&format!("link set {DEVICE} up"));
    container.ip(&format!("route add default dev {DEVICE}"));
    outside.ip(&format!("route add {a}.{b}.{c}.{d} via {}", End::Proxy.address(Family::V4)));
    let caller = Caller::new(&outside, (End::Caller.address(Family::V4), 0).into(), (ADDRESS, PORT).into());
    (Lab::of_hosts(outside, container), between, caller)
}
