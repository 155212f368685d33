//! The scope of maintenance: calls outside it reach the server while maintenance is on.
#![cfg(test)]

use std::net::SocketAddr;
use std::time::Duration;

use filter_common::verdict::Verdict;
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{End, Family};

/// Time within which a change by SQL must be in force.
const IN_FORCE: Duration = Duration::from_secs(2);

#[test]
fn scope_is_in_force_when_the_command_returns_and_calls_outside_reach_the_server() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    for (family, elsewhere) in [(Family::V4, "203.0.113.0/24"), (Family::V6, "2001:db8:ffff::/48")] {
        let caller = lab.caller(family);
        let source = End::Caller.address(family).to_string();
        lab.expect_call_refused(&caller);
        lab.filter.run(&["scope", "add", "--source", elsewhere, "--why", "trunk A"]);
        lab.expect_call_accepted(&caller);
        lab.filter.run(&["scope", "add", "--source", &source]);
        lab.expect_call_refused(&caller);
        lab.filter.run(&["scope", "remove", "--source", &source]);
        lab.expect_call_accepted(&caller);
        let output = lab.filter.output(&["scope", "remove", "--source", elsewhere]);
        assert!(output.stderr.contains("no entry of the scope is left"), "{output:#?}");
        lab.expect_call_refused(&caller);
    }
    assert_eq!(lab.filter.stats().verdict(Verdict::OutOfScope), 4);
}

#[test]
fn destination_is_in_scope_with_its_port_or_with_any() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    for family in [Family::V4, Family::V6] {
        let caller = lab.caller(family);
        let address = End::Proxy.address(family);
        let with_port = |port| SocketAddr::new(address, port).to_string();
        for (destination, refused) in [(with_port(5061), false), (with_port(5060), true), (address.to_string(), true)] {
            lab.filter.run(&["scope", "add", "--destination", &destination]);
            if refused {
                lab.expect_call_refused(&caller);
            } else {
                lab.expect_call_accepted(&caller);
            }
            lab.filter.run(&["scope", "remove", "--destination", &destination]);
        }
    }
}

#[test]
fn status_and_history_show_the_scope() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    lab.filter.run(&["scope", "add", "--source", "203.0.113.0/24", "2001:db8:7::/48", "--why", "trunk A"]);
    lab.filter.run(&["scope", "add", "--destination", "198.18.0.2:5060"]);
    let on = lab.filter.run(&["on"]);
    let status = lab.filter.run(&["status"]);
    for shown in [&on, &status] {
        assert!(shown.contains("scope: 2 sources, 1 destination"), "{shown}");
    }
    let history = lab.filter.run(&["history"]);
    for words in ["scope.add", "from 203.0.113.0/24 2001:db8:7::/48", "to 198.18.0.2:5060", "trunk A"] {
        assert!(history.contains(words), "no {words:?} in\n{history}");
    }
    let list = lab.filter.run(&["scope", "list"]);
    for line in ["from 203.0.113.0/24   yes", "to 198.18.0.2:5060    yes"] {
        assert!(list.contains(line), "no {line:?} in\n{list}");
    }
}

#[test]
fn scope_that_sql_makes_unusable_lets_calls_pass_with_an_alarm() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);
    lab.filter.sqlite("INSERT INTO sip_filter_scope_source (prefix) VALUES ('carrier-a.example.com')");
    let alarms = || lab.filter.status()["alarms"].to_string();
    wait::until("the alarm", IN_FORCE, || alarms().contains("empty_scope"));
    lab.expect_call_accepted(&caller);
    lab.filter.sqlite("DELETE FROM sip_filter_scope_source");
    wait::until("the end of the alarm", IN_FORCE, || !alarms().contains("empty_scope"));
    lab.expect_call_refused(&caller);
}

#[test]
fn call_refused_before_the_scope_changed_is_refused_when_it_is_sent_again() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    let refused = caller.invite();
    caller.expect(&refused, 503);
    lab.filter.run(&["scope", "add", "--source", "203.0.113.0/24"]);
    let passed = caller.invite();
    caller.expect(&passed, 200);
    caller.expect(&refused, 503);
    lab.filter.run(&["scope", "remove", "--source", "203.0.113.0/24"]);
    caller.expect(&passed, 200);
    assert!(!lab.server.has_seen(refused.header("Call-ID")), "{refused}");
}
