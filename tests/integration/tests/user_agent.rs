//! A real user agent, baresip, calls through the filter: refused, put through, and undisturbed in a call that is up.

use std::time::Duration;

use anyhow::Result;
use filter_lab::baresip::Baresip;
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::Family;
use rstest::rstest;

/// Waits until the server has seen so many requests of `method`.
fn until_seen(lab: &Lab, method: &str, count: usize) -> Result<()> {
    wait::until(&format!("{method} number {count} at the server"), Duration::from_secs(5), || {
        Ok(lab.server.requests().iter().filter(|request| request.method() == Some(method)).count() == count)
    })?;
    Ok(())
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn it_is_refused_while_on_and_put_through_while_off(#[case] family: Family) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    let mut phone = Baresip::start(&lab, family)?;
    phone.dial()?;
    assert_eq!(phone.hears("CALL_CLOSED", &["CALL_ESTABLISHED"])?, "503 Maintenance");
    wait::until("the ACK to be absorbed", Duration::from_secs(2), || {
        Ok(lab.filter.stats()?.verdict("ack_absorbed")? == 1)
    })?;
    assert_eq!(lab.filter.stats()?.verdict("redirected")?, 1, "it asked more than once");
    assert_eq!(lab.server.requests(), [], "the server saw something of a refused call");

    lab.filter.done(&["off"])?;
    phone.dial()?;
    phone.hears("CALL_ESTABLISHED", &["CALL_CLOSED"])?;
    until_seen(&lab, "ACK", 1)?;
    phone.tell("hangup", "")?;
    until_seen(&lab, "BYE", 1)
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn its_call_stays_up_over_the_switch_and_ends_cleanly(#[case] family: Family) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let mut phone = Baresip::start(&lab, family)?;
    phone.dial()?;
    phone.hears("CALL_ESTABLISHED", &["CALL_CLOSED"])?;
    until_seen(&lab, "ACK", 1)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&lab.caller(family)?)?;

    // Both are re-INVITEs; the user agent acknowledges each 200.
    phone.tell("hold", "")?;
    until_seen(&lab, "ACK", 2)?;
    phone.tell("resume", "")?;
    until_seen(&lab, "ACK", 3)?;
    phone.tell("hangup", "")?;
    until_seen(&lab, "BYE", 1)?;
    until_seen(&lab, "INVITE", 3)?;
    assert!(!phone.log().contains("SIP/2.0 503"), "{}", phone.log());
    Ok(())
}
