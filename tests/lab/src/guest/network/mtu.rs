//! Large MTUs, at which drivers reject the XDP program or lose frames in native mode.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::calls::{self, Fate};
use super::health::{expect_alarm, expect_no_alarm, switch_on};
use super::{Scenario, lab, scenario};
use crate::failure::OrFail as _;
use crate::lab::Lab;
use crate::process;
use crate::wire::{CALLER_INTERFACE, End, Family, PROXY_INTERFACE, wait_until_up};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!("mtu", doctor_says_what_run_does, ALL, &[]),
    scenario!("mtu", raised_mtu_at_which_the_driver_loses_frames_is_an_alarm, &["virtio"], &[]),
];

const ALL: &[&str] = &["veth", "virtio", "virtio-no-offloads", "igb", "vmxnet3", "e1000e"];

/// MTUs in bytes: the usual ones, and those at which a driver changes its mind.
const MTUS: [u32; 8] = [1500, 3046, 3047, 3400, 3401, 3494, 3495, 9000];

/// Length of the IPv4 and UDP headers in bytes.
const HEADERS: usize = 28;

/// Also, at no MTU is a frame lost because the program is attached.
fn doctor_says_what_run_does() {
    let lab = lab();
    let mut usual = None;
    for mtu in MTUS.into_iter().filter(|mtu| set_mtu(&lab, *mtu)) {
        let passes_alone = datagram_arrives(&lab, mtu);
        let said = mode_by_doctor(&lab);
        let mut daemon = lab.filter.start(&["--iface", PROXY_INTERFACE]);
        let mode = mode_of_run(&lab);
        eprintln!("MTU {mtu}: doctor says {said:?}, and run attaches in {mode} mode");
        // Before Linux 6.3 the kernel does not report what a driver can, but an MTU is known to be too large for it.
        let usual = usual.get_or_insert_with(|| mode.clone());
        let expected = said.as_ref().unwrap_or(usual);
        assert!(mode == *expected, "at an MTU of {mtu}, doctor says {said:?}, and run attaches in {mode} mode");
        switch_on(&lab);
        calls::expect(&lab, &lab.caller(Family::V4), Fate::Refused);
        assert!(!passes_alone || datagram_arrives(&lab, mtu), "a datagram is lost at an MTU of {mtu} in {mode} mode");
        daemon.end(Signal::SIGTERM);
        // A NIC that has lost its carrier may lose a response too.
        lab.wait_for_status(200, &lab.caller(Family::V4), Duration::from_secs(10));
    }
}

/// On kernels whose driver copes, nothing is said.
fn raised_mtu_at_which_the_driver_loses_frames_is_an_alarm() {
    const MOST: u32 = 3400;
    let lab = lab();
    assert!(set_mtu(&lab, MOST), "the driver does not accept an MTU of {MOST}");
    let _daemon = lab.filter.start(&["--iface", PROXY_INTERFACE]);
    assert_eq!(mode_of_run(&lab), "native");
    switch_on(&lab);
    let words = [PROXY_INTERFACE, "mtu 3400"];
    expect_no_alarm(&lab, &words);
    assert!(set_mtu(&lab, MOST + 1), "the driver does not accept an MTU of {}", MOST + 1);
    thread::sleep(Duration::from_secs(2));
    // "virtio-net: support multi-buffer xdp"
    if kernel() >= (6, 3) {
        expect_no_alarm(&lab, &words);
        assert!(datagram_arrives(&lab, MOST + 1), "a datagram is lost");
    } else {
        expect_alarm(&lab, &words);
        assert!(set_mtu(&lab, MOST), "the MTU cannot be set as the alarm says");
        expect_no_alarm(&lab, &words);
    }
    calls::expect(&lab, &lab.caller(Family::V4), Fate::Refused);
}

/// Sets the MTU at both ends. Returns whether the driver accepts it.
#[track_caller]
fn set_mtu(lab: &Lab, mtu: u32) -> bool {
    let both = [(&lab.outside, CALLER_INTERFACE), (&lab.inside, PROXY_INTERFACE)];
    let accepted = both.iter().all(|(host, interface)| {
        let mut ip = host.command("ip");
        ip.args(["link", "set", interface, "mtu", &mtu.to_string()]);
        process::run(&mut ip).code == Some(0)
    });
    for (host, interface) in both {
        wait_until_up(host, interface);
    }
    accepted
}

/// Returns the mode in which `run` will attach, as `doctor` has it; `None` if it does not know.
#[track_caller]
fn mode_by_doctor(lab: &Lab) -> Option<String> {
    let output = lab.filter.output(&["doctor", "--json", "--iface", PROXY_INTERFACE]);
    let findings: Vec<Value> =
        serde_json::from_str(&output.stdout).or_fail(format_args!("not the JSON of `doctor`: {output:?}"));
    let mode = findings.iter().find(|finding| finding["check"] == "mode");
    let fact = mode.and_then(|mode| mode["fact"].as_str()).or_fail(format_args!("nothing on the mode: {findings:?}"));
    match fact {
        _ if fact.contains("not known") => None,
        _ if fact.contains("it will run in generic mode") => Some("generic".to_owned()),
        _ if fact.contains("(native mode)") => Some("native".to_owned()),
        _ => panic!("`doctor` does not say in which mode `run` will attach: {fact}"),
    }
}

/// Returns the mode in which the daemon has attached.
#[track_caller]
fn mode_of_run(lab: &Lab) -> String {
    let status = lab.filter.status();
    status["interfaces"][0]["mode"].as_str().or_fail(format_args!("no mode in {status}")).to_owned()
}

/// Sends datagrams as large as the MTU allows, and returns whether one arrives at the proxy's host.
#[track_caller]
fn datagram_arrives(lab: &Lab, mtu: u32) -> bool {
    /// Port of the datagrams, which is not a proxy's.
    const PORT: u16 = 4001;
    let to = SocketAddr::new(End::Proxy.address(Family::V4), PORT);
    let sink = lab.inside.bind_udp(to);
    sink.set_read_timeout(Some(Duration::from_millis(500))).or_fail("cannot set a read timeout");
    let from = lab.outside.bind_udp((End::Caller.address(Family::V4), 0).into());
    let datagram = vec![b'x'; mtu as usize - HEADERS];
    let mut buffer = vec![0; datagram.len()];
    (0..3).any(|_| {
        // A link that has just lost its carrier may have no way to the address for a moment.
        let _ = from.send_to(&datagram, to);
        sink.recv(&mut buffer).is_ok_and(|len| len == datagram.len())
    })
}

/// Returns the major and minor version of the kernel.
#[track_caller]
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").or_fail("cannot read the kernel's version");
    let mut numbers = release.split(['.', '-', '+']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
