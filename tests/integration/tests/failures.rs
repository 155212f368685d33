//! A daemon that is dead, hung or ended never costs a call: the filter fails open, and comes back.
#![cfg(test)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use filter_common::verdict::Verdict;
use filter_integration::{CLOCK_TICK, DaemonMaps, interrupt_link, monotonic};
use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{Family, PROXY_INTERFACE};
use nix::sys::signal::Signal;
use rstest::rstest;

/// Default duration of a lease: the time within which the filter fails open if its responder hangs.
const LEASE: Duration = Duration::from_secs(1);

/// Time within which calls must be refused again by a daemon that continues.
const RETURN_TIMEOUT: Duration = Duration::from_secs(3);

/// Stops `daemon`, waits until its lease has run out, and returns the maps. Asserts that the lease was no longer than
/// `lease`.
#[track_caller]
fn stop_until_lease_end(lab: &Lab, daemon: &Daemon, lease: Duration) -> DaemonMaps {
    let maps = DaemonMaps::open(lab);
    daemon.signal(Signal::SIGSTOP);
    let left = maps.lease_end().saturating_sub(monotonic());
    assert!(left <= lease + CLOCK_TICK, "a stopped daemon has {left:?} of its lease left");
    maps.wait_for_lease_end();
    maps
}

#[rstest]
#[case::native("native")]
#[case::generic("generic")]
fn every_call_after_kill_9_under_traffic_reaches_the_server(#[case] mode: &str) {
    const BEFORE: usize = 100;
    const AFTER: usize = 100;
    let lab = Lab::new();
    let mut daemon = lab.start(mode);
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    lab.expect_call_refused(&caller);

    let (sent, is_dead) = (AtomicUsize::new(0), AtomicBool::new(false));
    let after: Vec<String> = thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut after = Vec::new();
            while after.len() < AFTER {
                let was_dead = is_dead.load(Ordering::SeqCst);
                let invite = caller.invite();
                caller.send(&invite.to_bytes());
                sent.fetch_add(1, Ordering::SeqCst);
                if was_dead {
                    after.push(invite.header("Call-ID").to_owned());
                }
                thread::sleep(Duration::from_millis(1));
            }
            after
        });
        wait::until("the traffic to flow", Duration::from_secs(10), || sent.load(Ordering::SeqCst) >= BEFORE);
        daemon.end(Signal::SIGKILL);
        is_dead.store(true, Ordering::SeqCst);
        traffic.join().expect("the traffic")
    });

    lab.server.wait_for("INVITE", &after[AFTER - 1]);
    let lost = after.iter().filter(|call_id| !lab.server.has_seen(call_id)).count();
    assert_eq!(lost, 0, "of {AFTER} calls after the daemon's death");
    assert_eq!(lab.attached_program(), None);
}

#[rstest]
#[case::native(&["--mode", "native"])]
#[case::generic(&["--mode", "generic"])]
#[case::busy_polling(&["--busy-poll", "1000000"])]
fn stopped_daemon_fails_open_at_the_end_of_the_lease_and_comes_back(#[case] arguments: &[&str]) {
    let lab = Lab::new();
    let daemon = lab.filter.start(&[&["--iface", PROXY_INTERFACE], arguments].concat());
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    lab.expect_call_refused(&caller);

    let maps = stop_until_lease_end(&lab, &daemon, LEASE);
    for _ in 0..6 {
        lab.expect_call_accepted(&caller);
    }
    daemon.signal(Signal::SIGCONT);
    lab.wait_for_status(503, &caller, RETURN_TIMEOUT);
    lab.expect_call_refused(&caller);
    // The lease is renewed after it would have run out, also by a thread that polls and does not sleep meanwhile.
    maps.wait_for_lease_beyond(maps.lease_end() + LEASE);
    lab.expect_call_refused(&caller);
}

#[test]
fn call_that_passed_while_the_daemon_hung_is_not_refused_afterwards() {
    let lab = Lab::new();
    let daemon = lab.start("native");
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    lab.expect_call_refused(&caller);

    // The first INVITE still goes to the daemon, which hangs. Its retransmission after the lease goes to the server.
    let maps = DaemonMaps::open(&lab);
    daemon.signal(Signal::SIGSTOP);
    let invite = caller.invite();
    caller.send(&invite.to_bytes());
    maps.wait_for_lease_end();
    assert!(!lab.server.has_seen(invite.header("Call-ID")));
    caller.expect(&invite, 200);

    daemon.signal(Signal::SIGCONT);
    let stats = wait::until_some("the responder to take the first INVITE", Duration::from_secs(5), || {
        let stats = lab.filter.stats();
        (stats.handled() == 2).then_some(stats)
    });
    assert_eq!((stats.verdict(Verdict::Redirected), stats.answered()), (2, 1), "{stats:?}");
    assert_eq!(caller.drain(), [], "a second, different response to an established call");
}

#[test]
fn shorter_lease_is_renewed_without_traffic_and_fails_open_sooner() {
    let lease = Duration::from_millis(200);
    let lab = Lab::new();
    let daemon = lab.filter.start(&["--iface", PROXY_INTERFACE, "--lease-ms", "200"]);
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    lab.expect_call_refused(&caller);
    let maps = DaemonMaps::open(&lab);
    maps.wait_for_lease_beyond(maps.lease_end() + 3 * lease);
    lab.expect_call_refused(&caller);

    stop_until_lease_end(&lab, &daemon, lease);
    lab.expect_call_accepted(&caller);
}

#[rstest]
#[case::sigterm_native(Signal::SIGTERM, "native")]
#[case::sigint_native(Signal::SIGINT, "native")]
#[case::sigterm_generic(Signal::SIGTERM, "generic")]
fn daemon_that_ends_on_a_signal_leaves_nothing_behind(#[case] signal: Signal, #[case] mode: &str) {
    let lab = Lab::new();
    let mut daemon = lab.start(mode);
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    lab.expect_call_refused(&caller);
    assert!(lab.attached_program().is_some());
    assert!(lab.filter.socket().exists());

    let status = daemon.end(signal);
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(lab.attached_program(), None);
    assert!(!lab.filter.socket().exists());
    lab.expect_call_accepted(&caller);
}

#[rstest]
#[case::native("native")]
#[case::generic("generic")]
fn interface_that_goes_down_and_up_is_filtered_again(#[case] mode: &str) {
    let lab = Lab::new();
    let mut daemon = lab.start(mode);
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    lab.expect_call_refused(&caller);

    interrupt_link(&lab, &mut daemon);
    lab.wait_for_status(503, &caller, RETURN_TIMEOUT);
    lab.expect_call_refused(&caller);
    lab.filter.run(&["off"]);
    lab.expect_call_accepted(&caller);
}

#[test]
fn second_daemon_on_the_same_interface_fails_and_names_the_program_there() {
    let lab = Lab::new();
    let mut daemon = lab.start("native");
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    let before = lab.attached_program().expect("a program on the interface");

    let other = Installation::new(&lab.inside, &Installation::binary_from_env());
    let output = other.output(&["run", "--iface", PROXY_INTERFACE]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    let id = before.split(' ').skip_while(|word| *word != "id").nth(1).expect("the id of the program");
    assert!(output.stderr.contains(PROXY_INTERFACE) && output.stderr.contains(id), "{id}: {output:#?}");

    assert!(daemon.is_running());
    assert_eq!(lab.attached_program(), Some(before));
    lab.expect_call_refused(&caller);
}

#[test]
fn second_daemon_on_the_same_control_socket_fails_and_names_the_socket() {
    let lab = Lab::new();
    let mut daemon = lab.start("native");
    lab.filter.run(&["on"]);

    let output = lab.filter.output(&["run", "--iface", "lo", "--mode", "generic"]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    let socket = lab.filter.socket();
    assert!(output.stderr.contains(&socket.display().to_string()), "{output:#?}");

    assert!(daemon.is_running());
    lab.filter.run(&["status"]);
    lab.expect_call_refused(&lab.caller(Family::V4));
}

#[test]
fn daemon_starts_over_the_control_socket_of_a_killed_one() {
    let lab = Lab::new();
    let mut daemon = lab.start("native");
    daemon.end(Signal::SIGKILL);
    assert!(lab.filter.socket().exists());
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&lab.caller(Family::V4));
}
