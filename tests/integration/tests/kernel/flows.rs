//! Each CPU remembers for the last flows what the daemon's tables say, and forgets it when these change.

use filter_common::maps::{AddressKind, InterfaceState};
use filter_common::verdict::Verdict;
use filter_lab::frame::{DOT1Q, Frame};
use filter_user::domain::{Policy, Scope};

use crate::exemptions::entries;
use crate::rig::{Rig, TEST_QUEUE, bytes, call, ipv4_frame, new_invite, packet, words};

/// More flows than a CPU remembers.
const FLOWS: u32 = 3000;

/// Returns the new INVITE of another call for each number.
fn numbered(number: u32) -> Vec<u8> {
    let invite = String::from_utf8(new_invite()).unwrap();
    invite.replace("rig", &format!("rig{number}")).into_bytes()
}

#[test]
fn address_that_comes_or_goes_decides_the_next_call_of_a_known_flow() {
    let mut rig = Rig::in_maintenance();
    let address = words("198.18.0.2");
    for round in 0..3 {
        assert_eq!(rig.verdict(&call(2 * round)), Verdict::Redirected);
        rig.own(|owned| _ = owned.addresses.remove(&address));
        assert_eq!(rig.verdict(&call(2 * round + 1)), Verdict::OtherAddress);
        rig.own(|owned| _ = owned.addresses.insert(address, AddressKind::Own as u32));
    }
}

#[test]
fn interface_that_becomes_a_backup_or_changes_its_mtu_decides_the_next_call_of_a_known_flow() {
    let mut rig = Rig::in_maintenance();
    let change = |rig: &mut Rig, change: fn(&mut InterfaceState)| {
        rig.own(|owned| change(owned.interfaces.get_mut(&TEST_QUEUE.ifindex).unwrap()));
    };
    assert_eq!(rig.verdict(&call(1)), Verdict::Redirected);
    change(&mut rig, |interface| interface.flags = InterfaceState::BACKUP);
    assert_eq!(rig.verdict(&call(2)), Verdict::Backup);
    change(&mut rig, |interface| (interface.flags, interface.mtu) = (0, 200));
    assert_eq!(rig.verdict(&call(3)), Verdict::Merged);
    change(&mut rig, |interface| interface.mtu = 1500);
    assert_eq!(rig.verdict(&call(4)), Verdict::Redirected);
}

#[test]
fn flows_that_differ_in_one_member_have_answers_of_their_own() {
    let mut rig = Rig::in_maintenance();
    rig.own(|owned| _ = owned.addresses.insert(words("198.18.0.4"), AddressKind::Own as u32));
    let scope = Scope { sources: entries(&["198.18.0.1"]), destinations: entries(&["198.18.0.4"]) };
    rig.set_lists(&Policy { scope: Some(scope), ..Policy::default() });
    for round in 0..2 {
        let invite = |number: u32| numbered(10 * round + number);
        let other_mac = Frame { destination_mac: [2, 0, 0, 0, 0, 9], ..ipv4_frame(&invite(4)) };
        let tagged = Frame { tags: vec![(DOT1Q, 7)], ..ipv4_frame(&invite(5)) };
        for (packet, verdict) in [
            (packet("198.18.0.1:5062", "198.18.0.2:5060", &invite(0)), Verdict::Redirected),
            (packet("198.18.0.3:5062", "198.18.0.2:5060", &invite(1)), Verdict::OutOfScope),
            (packet("198.18.0.3:5062", "198.18.0.4:5060", &invite(2)), Verdict::Redirected),
            (packet("198.18.0.1:5062", "198.18.0.9:5060", &invite(3)), Verdict::OtherAddress),
            (bytes(&other_mac), Verdict::OtherHost),
            (bytes(&tagged), Verdict::OtherHost),
        ] {
            assert_eq!(rig.verdict(&packet), verdict, "round {round}: {packet:x?}");
        }
    }
}

#[test]
fn more_flows_than_are_remembered_keep_answers_of_their_own() {
    let mut rig = Rig::in_maintenance();
    let scope = Scope { sources: entries(&["10.0.0.0/8"]), ..Scope::default() };
    rig.set_lists(&Policy { scope: Some(scope), ..Policy::default() });
    for round in 0..2 {
        for number in 0..FLOWS {
            let [_, _, high, low] = number.to_be_bytes();
            let (network, verdict) =
                if number % 2 == 0 { (10, Verdict::Redirected) } else { (11, Verdict::OutOfScope) };
            let source = format!("{network}.0.{high}.{low}:5060");
            assert_eq!(rig.verdict(&packet(&source, "198.18.0.2:5060", &numbered(round))), verdict, "{source}");
        }
    }
}
