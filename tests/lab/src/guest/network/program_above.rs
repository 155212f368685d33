//! Devices on the shielded interface that have an XDP program: the kernel then accepts none on the interface itself.

use std::path::Path;

use super::links::host;
use super::{Scenario, scenario};
use crate::guest::plan::BINARY;
use crate::installation::Installation;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::wire::{Family, PROXY_INTERFACE};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!("program_above", device_of_this_host_that_has_a_program_is_named, &["veth"], &["8021q", "macvlan"]),
    scenario!("program_above", run_mentions_a_device_of_a_container_that_has_a_program, &["veth"], &["macvlan"]),
];

fn device_of_this_host_that_has_a_program_is_named() {
    for (device, kind) in [("nic0.100", "vlan id 100"), ("macvlan0", "macvlan mode bridge")] {
        let lab = Lab::new();
        let inside = lab.inside.clone();
        assert_is_mentioned(&lab, &inside, device, kind, &["run", "doctor"], device);
    }
}

/// Its name means nothing in this namespace. The kernel reports it to nobody, `doctor` included, until it rejects the
/// program of `run`.
fn run_mentions_a_device_of_a_container_that_has_a_program() {
    let lab = Lab::new();
    assert_is_mentioned(&lab, &host(), "macvlan0", "macvlan mode bridge", &["run"], "another network namespace");
    let doctor = lab.filter.output(&["doctor", "--iface", PROXY_INTERFACE]).stdout;
    assert!(doctor.contains("in this network namespace"), "`doctor` claims to know of all devices:\n{doctor}");
}

/// Creates a device on the proxy's interface in the namespace `container`, with a program on it, and asserts that the
/// errors of these `commands` contain `mention`.
#[track_caller]
fn assert_is_mentioned(lab: &Lab, container: &Namespace, device: &str, kind: &str, commands: &[&str], mention: &str) {
    lab.inside.ip(&format!("link add link {PROXY_INTERFACE} name {device} type {kind}"));
    lab.inside.ip(&format!("link set {device} netns {}", container.path().display()));
    container.ip(&format!("link set {device} up"));
    // Its own daemon, since that is an XDP program that is at hand.
    let other = Installation::new(container, Path::new(BINARY));
    let _above = other.start(&["--iface", device, "--mode", "generic"]);

    for command in commands {
        let output = lab.filter.output(&[*command, "--iface", PROXY_INTERFACE]);
        assert!(output.code == Some(1), "`sip-filter {command}` does not fail: {output:#?}");
        let text = format!("{}{}", output.stdout, output.stderr);
        assert!(text.contains(mention), "`sip-filter {command}` does not mention {mention}:\n{text}");
    }
    lab.expect_call_accepted(&lab.caller(Family::V4));
}
