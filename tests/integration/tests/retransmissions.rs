//! The same request gets the same answer, although maintenance was switched or the daemon restarted in between.

use anyhow::{Context as _, Result};
use filter_lab::caller::Caller;
use filter_lab::daemon::Daemon;
use filter_lab::lab::Lab;
use filter_lab::request::Request;
use filter_lab::wire::Family;
use nix::sys::signal::Signal;
use rstest::rstest;

/// Ends the daemon as an init system does, and starts another.
fn restart(lab: &Lab, mut daemon: Daemon) -> Result<Daemon> {
    daemon.end(Signal::SIGTERM)?;
    lab.start("native")
}

/// An INVITE that the server has seen and answered.
fn passed(lab: &Lab, caller: &Caller) -> Result<Request> {
    let invite = caller.invite();
    caller.expect(&invite, 200)?;
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);
    Ok(invite)
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn an_invite_that_passed_before_on_still_reaches_the_server(#[case] family: Family) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(family)?;
    let invite = passed(&lab, &caller)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;

    caller.expect(&invite, 200)?;
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 2);
    assert_eq!(lab.filter.stats()?.verdict("seen")?, 1);
    // The same call as a new transaction is a new request.
    caller.expect(&caller.retry(&invite), 503)?;
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 2);
    Ok(())
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn an_invite_that_was_refused_before_off_is_refused_again_in_the_same_words(#[case] family: Family) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(family)?;
    lab.filter.done(&["on", "--reason", "Back Soon"])?;
    let (invite, response) = lab.is_refused(&caller)?;
    lab.filter.done(&["off"])?;
    lab.goes_through(&caller)?;

    let again = caller.expect(&invite, 503)?;
    assert_eq!(again.to_string(), response.to_string());
    assert!(!lab.server.saw(invite.header("Call-ID")));
    assert_eq!(lab.filter.stats()?.verdict("redirected_again")?, 1);
    Ok(())
}

#[test]
fn each_keeps_its_answer_over_several_switches() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    let invite = passed(&lab, &caller)?;
    lab.filter.done(&["on"])?;
    let (refused, response) = lab.is_refused(&caller)?;
    for switch in ["off", "on", "off"] {
        lab.filter.done(&[switch])?;
        caller.expect(&invite, 200).with_context(|| switch.to_owned())?;
        let again = caller.expect(&refused, 503).with_context(|| switch.to_owned())?;
        assert_eq!(again.to_string(), response.to_string(), "{switch}");
    }
    Ok(())
}

/// The limit that the documentation names: the memory of INVITEs ends with the daemon.
#[test]
fn after_a_restart_an_invite_that_passed_is_a_new_one() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    let invite = passed(&lab, &caller)?;
    let daemon = restart(&lab, daemon)?;
    lab.filter.done(&["on"])?;
    caller.expect(&invite, 503)?;
    assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);

    // And the reverse: what was refused passes, once maintenance is off.
    lab.filter.done(&["off"])?;
    let _daemon = restart(&lab, daemon)?;
    caller.expect(&invite, 200)?;
    Ok(())
}

#[test]
fn after_a_restart_a_retransmission_is_refused_in_the_same_words() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    let (invite, response) = lab.is_refused(&caller)?;
    let _daemon = restart(&lab, daemon)?;

    // The tag is made of the request and of a key in the database.
    assert_eq!(caller.expect(&invite, 503)?.to_string(), response.to_string());
    Ok(())
}

#[rstest]
#[case::still_on(false)]
#[case::off_meanwhile(true)]
fn after_a_restart_the_ack_to_an_earlier_refusal_is_absorbed(#[case] off: bool) -> Result<()> {
    let lab = Lab::new()?;
    let daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    let (invite, response) = lab.is_refused(&caller)?;
    if off {
        lab.filter.done(&["off"])?;
    }
    let _daemon = restart(&lab, daemon)?;

    caller.acknowledge_refusal(&invite, &response)?;
    // Whatever was sent earlier is in the server's log when this is answered.
    caller.expect(&caller.request("OPTIONS"), 200)?;
    assert!(!lab.server.saw(invite.header("Call-ID")), "the server saw an ACK without its INVITE");
    assert_eq!(lab.filter.stats()?.verdict("ack_absorbed")?, 1);
    Ok(())
}
