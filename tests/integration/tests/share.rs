//! `maint_percent`: a share of the new calls is refused, and each call gets the same status when it is sent again.
#![cfg(test)]

use std::collections::HashMap;

use filter_lab::lab::Lab;
use filter_lab::wire::Family;

#[test]
fn share_of_calls_is_refused_and_a_retransmission_gets_the_same_status() {
    const CALLS: usize = 1000;
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.apply_row("maint_percent", "30");
    lab.filter.run(&["on"]);

    let mut fates = HashMap::new();
    let invites: Vec<_> = (0..CALLS).map(|_| caller.invite()).collect();
    for invite in &invites {
        let response = caller.ask(invite);
        assert!(matches!(response.status(), Some(200 | 503)), "{response}");
        fates.insert(invite.header("Call-ID"), response.status());
    }
    let refused = fates.values().filter(|status| **status == Some(503)).count();
    // Four standard deviations of a fair draw are 58 calls.
    assert!((300 - 58..=300 + 58).contains(&refused), "{refused} of {CALLS}");
    for invite in &invites[..200] {
        assert_eq!(caller.ask(invite).status(), fates[invite.header("Call-ID")], "{invite}");
    }
}

#[test]
fn call_keeps_its_status_when_the_share_changes() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.apply_row("maint_percent", "50");
    lab.filter.run(&["on"]);
    let mut invites = Vec::new();
    for _ in 0..40 {
        let invite = caller.invite();
        let status = caller.ask(&invite).status();
        invites.push((invite, status));
    }
    // The probability that all have one fate is 2 in 10¹².
    assert!(invites.iter().any(|(_, status)| *status == Some(200)));
    assert!(invites.iter().any(|(_, status)| *status == Some(503)));

    for percent in ["1", "100"] {
        lab.filter.apply_row("maint_percent", percent);
        for (invite, status) in &invites {
            assert_eq!(caller.ask(invite).status(), *status, "at {percent} %:\n{invite}");
        }
    }
}
