//! New calls that reach the server while maintenance is on: emergencies, and those that belong to calls that are up.

use anyhow::Result;
use filter_lab::lab::Lab;
use filter_lab::request::Request;
use filter_lab::wire::Family;
use rstest::rstest;

/// Puts another user into the Request-URI and To.
fn dial(request: &mut Request, number: &str) {
    request.uri = request.uri.replace("+4930123456", number);
    let to = request.header("To").replace("+4930123456", number);
    request.set("To", &to);
}

#[rstest]
#[case::number_911(|invite: &mut Request| dial(invite, "911"), "emergency")]
#[case::number_112(|invite: &mut Request| dial(invite, "112"), "emergency")]
#[case::service_urn(|invite: &mut Request| "urn:service:sos.fire".clone_into(&mut invite.uri), "emergency")]
#[case::priority(|invite: &mut Request| invite.push("Priority", "emergency"), "emergency")]
#[case::call_back(|invite: &mut Request| invite.push("Priority", "psap-callback"), "emergency")]
#[case::resource_priority(|invite: &mut Request| invite.push("Resource-Priority", "ets.0"), "emergency")]
#[case::replaces(|invite: &mut Request| invite.push("Replaces", "a@b;to-tag=1;from-tag=2"), "replaces")]
#[case::join(|invite: &mut Request| invite.push("Join", "a@b;to-tag=1;from-tag=2"), "replaces")]
fn reaches_the_server_while_on(#[case] mark: fn(&mut Request), #[case] verdict: &str) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    for (passed, family) in [(1, Family::V4), (2, Family::V6)] {
        let caller = lab.caller(family)?;
        let mut invite = caller.invite();
        caller.expect(&invite, 503)?;
        invite = caller.invite();
        mark(&mut invite);
        caller.expect(&invite, 200)?;
        assert_eq!(lab.server.count("INVITE", invite.header("Call-ID")), 1);
        assert_eq!(lab.filter.stats()?.verdict(verdict)?, passed);
    }
    Ok(())
}

#[test]
fn what_only_looks_like_it_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    let marks: [fn(&mut Request); 4] = [
        |invite| dial(invite, "9110"),
        |invite| invite.push("Priority", "urgent"),
        |invite| invite.push("X-Replaces", "a@b;to-tag=1;from-tag=2"),
        // It offers to take a Replaces, as nearly every client does.
        |invite| invite.set("Supported", "replaces, join"),
    ];
    for mark in marks {
        let mut invite = caller.invite();
        mark(&mut invite);
        caller.expect(&invite, 503)?;
        assert!(!lab.server.saw(invite.header("Call-ID")), "{invite}");
    }
    Ok(())
}

#[test]
fn a_bypass_prefix_is_in_force_when_the_command_returns() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    for (family, prefix) in [(Family::V4, "198.18.0.0/24"), (Family::V6, "2001:db8::/32")] {
        let caller = lab.caller(family)?;
        lab.is_refused(&caller)?;
        lab.filter.done(&["bypass", "add", prefix, "--why", "test callers"])?;
        lab.goes_through(&caller)?;
        lab.filter.done(&["bypass", "remove", prefix])?;
        lab.is_refused(&caller)?;
    }
    assert_eq!(lab.filter.stats()?.verdict("bypass")?, 2);
    Ok(())
}

#[test]
fn an_emergency_number_is_in_force_when_the_command_returns() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    for (command, status) in [("add", 200), ("remove", 503)] {
        lab.filter.done(&["emergency", command, "110"])?;
        let mut invite = caller.invite();
        dial(&mut invite, "110");
        caller.expect(&invite, status)?;
    }
    Ok(())
}

#[test]
fn what_is_refused_can_be_said_with_the_switch() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on", "--methods", "OPTIONS"])?;
    lab.goes_through(&caller)?;
    caller.expect(&caller.request("OPTIONS"), 503)?;
    lab.filter.done(&["on", "--methods", "INVITE", "--percent", "100"])?;
    lab.is_refused(&caller)?;
    caller.expect(&caller.request("OPTIONS"), 200)?;
    Ok(())
}
