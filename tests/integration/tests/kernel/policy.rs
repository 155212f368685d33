//! When a new call is redirected: the maintenance flag, the lease, the socket.

use filter_common::verdict::Verdict;

use crate::rig::{Rig, call, invite, ipv4, new_invite};

#[test]
fn invites_pass_while_maintenance_is_off() {
    let mut rig = Rig::new();
    rig.grant_lease();
    assert_eq!(rig.verdict(&ipv4(&new_invite())), Verdict::Off);
    assert_eq!(rig.verdict(&ipv4(&invite("To: <sip:b>;tag=1"))), Verdict::Off);
}

#[test]
fn maintenance_takes_effect_at_once_when_switched_on_and_off() {
    let mut rig = Rig::in_maintenance();
    for number in 0..3 {
        rig.set_maintenance(true);
        assert_eq!(rig.verdict(&call(2 * number)), Verdict::Redirected);
        rig.set_maintenance(false);
        assert_eq!(rig.verdict(&call(2 * number + 1)), Verdict::Off);
    }
}

#[test]
fn new_call_passes_if_the_queue_never_had_a_lease() {
    let mut rig = Rig::new();
    rig.set_maintenance(true);
    assert_eq!(rig.verdict(&ipv4(&new_invite())), Verdict::NoLease);
}

#[test]
fn new_call_passes_once_the_lease_has_expired() {
    let mut rig = Rig::in_maintenance();
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    rig.expire_lease();
    assert_eq!(rig.verdict(&call(2)), Verdict::NoLease);
    rig.grant_lease();
    assert_eq!(rig.verdict(&call(3)), Verdict::Redirected);
}

#[test]
fn new_call_passes_if_the_leased_slot_has_no_socket() {
    let mut rig = Rig::in_maintenance();
    rig.lease_empty_slot();
    assert_eq!(rig.verdict(&ipv4(&new_invite())), Verdict::NoSocket);
}
