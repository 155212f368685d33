//! NICs that lose their carrier for some seconds when a program is attached (igb).

use super::calls::{self, Fate};
use super::health::switch_on;
use super::{Scenario, lab, scenario};
use crate::wire::Family;

pub(super) const SCENARIOS: &[Scenario] =
    &[scenario!("carrier", daemon_is_ready_when_the_carrier_is_back, &["igb"], &[])];

fn daemon_is_ready_when_the_carrier_is_back() {
    let lab = lab();
    let caller = lab.caller(Family::V4);
    // So that both ends know each other's MAC address, and nothing but the carrier delays a call.
    lab.expect_call_accepted(&caller);
    // A host that starts during maintenance refuses from the first call on.
    let mut daemon = lab.start("native");
    switch_on(&lab);
    daemon.end(nix::sys::signal::Signal::SIGTERM);
    lab.wait_for_status(200, &caller, std::time::Duration::from_secs(10));

    let _daemon = lab.start("native");
    // Without a retransmission.
    calls::expect(&lab, &caller, Fate::Refused);
}
