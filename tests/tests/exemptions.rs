//! New calls that reach the server while maintenance is on: emergencies, and those that belong to calls that are up.

use anyhow::Result;
use filter_tests::lab::Lab;
use filter_tests::request::Request;
use filter_tests::wire::Family;
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
