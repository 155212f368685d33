//! A daemon that is dead, hung or ended never costs a call: fail open, and come back.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use filter_lab::installation::Installation;
use filter_lab::lab::Lab;
use filter_lab::wire::{Family, PROXY_INTERFACE, wait_until_up};
use nix::sys::signal::Signal;
use rstest::rstest;

/// The lease (default) within which a hung responder fails open, and what a busy machine adds.
const LEASE: Duration = Duration::from_millis(1000 + 150);

#[rstest]
#[case::native("native")]
#[case::generic("generic")]
fn after_kill_9_under_traffic_the_next_calls_reach_the_server(#[case] mode: &str) -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = lab.start(mode)?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    lab.is_refused(&caller)?;

    let end = Instant::now() + Duration::from_millis(700);
    let (dead, sent) = thread::scope(|scope| {
        let traffic = scope.spawn(|| -> Result<Vec<(Instant, String)>> {
            let mut sent = Vec::new();
            while Instant::now() < end {
                let invite = caller.invite();
                sent.push((Instant::now(), invite.header("Call-ID").to_owned()));
                caller.send(&invite.to_bytes())?;
                thread::sleep(Duration::from_millis(1));
            }
            Ok(sent)
        });
        thread::sleep(Duration::from_millis(200));
        daemon.end(Signal::SIGKILL)?;
        let dead = Instant::now();
        anyhow::Ok((dead, traffic.join().expect("no panic in there")?))
    })?;

    let (before, after): (Vec<_>, Vec<_>) = sent.iter().partition(|(at, _)| *at < dead);
    assert!(before.len() > 20 && after.len() > 50, "{} sent before, {} after", before.len(), after.len());
    lab.server.wait_for("INVITE", &after[after.len() - 1].1)?;
    let lost = after.iter().filter(|(_, call_id)| !lab.server.saw(call_id)).count();
    assert_eq!(lost, 0, "of {} calls after the daemon's death", after.len());
    assert_eq!(lab.attached()?, None);
    Ok(())
}

#[rstest]
#[case::native(&["--mode", "native"])]
#[case::generic(&["--mode", "generic"])]
#[case::busy_polling(&["--busy-poll", "1000000"])]
fn a_stopped_daemon_fails_open_within_the_lease_and_comes_back(#[case] arguments: &[&str]) -> Result<()> {
    let lab = Lab::new()?;
    let daemon = lab.filter.start(&[&["--iface", PROXY_INTERFACE], arguments].concat())?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    lab.is_refused(&caller)?;

    daemon.signal(Signal::SIGSTOP)?;
    let took = lab.until_calls_are(false, &caller, Duration::from_secs(5))?;
    assert!(took <= LEASE, "it took {took:?}");
    for _ in 0..5 {
        lab.goes_through(&caller)?;
    }
    daemon.signal(Signal::SIGCONT)?;
    lab.until_calls_are(true, &caller, Duration::from_secs(2))?;
    lab.is_refused(&caller)?;
    // Longer than the lease, all of it awake if it polls: the lease is renewed as well.
    thread::sleep(LEASE);
    lab.is_refused(&caller)?;
    Ok(())
}

#[test]
fn a_call_that_passed_while_the_daemon_hung_is_not_refused_when_it_comes_back() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    lab.is_refused(&caller)?;

    // The first INVITE still goes to the daemon, which hangs; its retransmission after the lease goes to the server.
    daemon.signal(Signal::SIGSTOP)?;
    let invite = caller.invite();
    caller.send(&invite.to_bytes())?;
    thread::sleep(LEASE);
    assert!(!lab.server.saw(invite.header("Call-ID")));
    caller.expect(&invite, 200)?;

    daemon.signal(Signal::SIGCONT)?;
    let late = caller.receive(Duration::from_millis(500))?;
    assert_eq!(late.map(|message| message.start_line), None, "a second, different answer to a call that is up");
    Ok(())
}

#[test]
fn a_shorter_lease_fails_open_sooner() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = lab.filter.start(&["--iface", PROXY_INTERFACE, "--lease-ms", "200"])?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    lab.is_refused(&caller)?;
    // It is renewed all the time, also when there is no traffic.
    thread::sleep(Duration::from_millis(600));
    lab.is_refused(&caller)?;

    daemon.signal(Signal::SIGSTOP)?;
    let took = lab.until_calls_are(false, &caller, Duration::from_secs(5))?;
    assert!(took <= Duration::from_millis(200 + 150), "it took {took:?}");
    Ok(())
}

#[rstest]
#[case::sigterm_native(Signal::SIGTERM, "native")]
#[case::sigint_native(Signal::SIGINT, "native")]
#[case::sigterm_generic(Signal::SIGTERM, "generic")]
fn a_daemon_that_is_asked_to_end_leaves_nothing_behind(#[case] signal: Signal, #[case] mode: &str) -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = lab.start(mode)?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    lab.is_refused(&caller)?;
    assert!(lab.attached()?.is_some());
    assert!(lab.filter.socket().exists());

    let status = daemon.end(signal)?;
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(lab.attached()?, None);
    assert!(!lab.filter.socket().exists());
    lab.goes_through(&caller)?;
    Ok(())
}

#[rstest]
#[case::native("native")]
#[case::generic("generic")]
fn an_interface_that_goes_down_and_up_is_filtered_again(#[case] mode: &str) -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = lab.start(mode)?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    lab.is_refused(&caller)?;

    lab.inside.ip(&format!("link set {PROXY_INTERFACE} down"))?;
    thread::sleep(Duration::from_millis(300));
    assert!(daemon.is_running()?);
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} up"))?;
    wait_until_up(&lab.inside, PROXY_INTERFACE)?;

    lab.until_calls_are(true, &caller, Duration::from_secs(3))?;
    lab.is_refused(&caller)?;
    lab.filter.done(&["off"])?;
    lab.goes_through(&caller)?;
    Ok(())
}

#[test]
fn a_second_daemon_on_the_interface_is_turned_away() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    let before = lab.attached()?.context("no program on the interface")?;

    let other = Installation::new(&lab.inside, &Installation::binary_from_env()?)?;
    let answer = other.cli(&["run", "--iface", PROXY_INTERFACE])?;
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    // The error names the interface, and the program that is there by its id.
    let id = before.split(' ').skip_while(|word| *word != "id").nth(1).context("id of the program")?;
    assert!(answer.stderr.contains(PROXY_INTERFACE) && answer.stderr.contains(id), "{id}: {answer:#?}");

    assert!(daemon.is_running()?);
    assert_eq!(lab.attached()?, Some(before));
    lab.is_refused(&caller)?;
    Ok(())
}

#[test]
fn a_second_daemon_on_the_socket_is_turned_away() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;

    let answer = lab.filter.cli(&["run", "--iface", "lo", "--mode", "generic"])?;
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    let socket = lab.filter.socket();
    assert!(answer.stderr.contains(&socket.display().to_string()), "{answer:#?}");

    assert!(daemon.is_running()?);
    lab.filter.done(&["status"])?;
    lab.is_refused(&lab.caller(Family::V4)?)?;
    Ok(())
}

#[test]
fn a_socket_left_over_from_a_killed_daemon_does_not_matter() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = lab.start("native")?;
    daemon.end(Signal::SIGKILL)?;
    assert!(lab.filter.socket().exists());
    let _daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&lab.caller(Family::V4)?)?;
    Ok(())
}
