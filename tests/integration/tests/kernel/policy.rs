//! When a new call is redirected and when not: the flag, the lease, the socket.

use std::time::Duration;

use filter_common::verdict::Verdict;

use crate::rig::{Rig, call, invite, ipv4, new_invite, octets};

#[test]
fn nothing_is_redirected_while_maintenance_is_off() {
    let mut rig = Rig::off();
    rig.set_lease(Duration::from_secs(60));
    assert_eq!(rig.verdict(&octets(&ipv4(&new_invite()))), Verdict::Off);
    assert_eq!(rig.verdict(&octets(&ipv4(&invite("To: <sip:b>;tag=1")))), Verdict::Off);
}

#[test]
fn the_flag_is_in_force_at_once_both_ways() {
    let mut rig = Rig::on();
    for number in 0..3 {
        rig.set_maintenance(true);
        assert_eq!(rig.verdict(&call(2 * number)), Verdict::Redirected);
        rig.set_maintenance(false);
        assert_eq!(rig.verdict(&call(2 * number + 1)), Verdict::Off);
    }
}

#[test]
fn without_a_lease_calls_reach_the_proxy() {
    let mut rig = Rig::off();
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&octets(&ipv4(&new_invite()))), Verdict::NoLease);
}

#[test]
fn a_lease_runs_out() {
    let mut rig = Rig::on();
    rig.set_lease(Duration::from_millis(300));
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    std::thread::sleep(Duration::from_millis(320));
    assert_eq!(rig.verdict(&call(2)), Verdict::NoLease);
    rig.set_lease(Duration::from_secs(60));
    assert_eq!(rig.verdict(&call(3)), Verdict::Redirected);
}

#[test]
fn without_a_socket_in_the_slot_calls_reach_the_proxy() {
    let mut rig = Rig::on();
    rig.set_empty_slot();
    assert_eq!(rig.verdict(&octets(&ipv4(&new_invite()))), Verdict::NoSocket);
}
