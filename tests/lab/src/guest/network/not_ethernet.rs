//! Interfaces whose frames have no Ethernet header.

use super::{Scenario, scenario};
use crate::lab::Lab;
use crate::wire::Family;

pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "not_ethernet",
    run_and_doctor_say_that_the_interface_is_not_ethernet,
    &["veth"],
    &["tun", "ipip", "ip_gre", "wireguard"]
)];

fn run_and_doctor_say_that_the_interface_is_not_ethernet() {
    let lab = Lab::new();
    let tunnel = "local 198.18.0.2 remote 198.18.0.1";
    for (interface, command) in [
        ("tun0", "tuntap add dev tun0 mode tun"),
        ("ipip9", &format!("link add ipip9 type ipip {tunnel}")),
        ("gre9", &format!("link add gre9 type gre {tunnel}")),
        ("wg0", "link add wg0 type wireguard"),
    ] {
        lab.inside.ip(command);
        lab.inside.ip(&format!("link set {interface} up"));
        for command in ["run", "doctor"] {
            let output = lab.filter.output(&[command, "--iface", interface]);
            assert!(output.code == Some(1), "`sip-filter {command} --iface {interface}` does not fail: {output:#?}");
            let text = format!("{}{}", output.stdout, output.stderr);
            let lines = text.lines().filter(|line| line.contains("Ethernet") && line.contains(interface));
            assert!(lines.count() > 0, "`sip-filter {command}` does not say that {interface} is not Ethernet:\n{text}");
        }
    }
    lab.expect_call_accepted(&lab.caller(Family::V4));
}
