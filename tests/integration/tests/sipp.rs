//! sipp calls through the filter: its calls are refused once each while on, complete while off, and hold over the switch.

use std::time::Duration;

use anyhow::Result;
use filter_lab::lab::Lab;
use filter_lab::sipp::Sipp;
use filter_lab::wire::Family;
use rstest::rstest;

/// How many calls, and how many of them a second.
const CALLS: u32 = 100;
const RATE: u32 = 50;

/// How many requests of `method` the server saw.
fn seen(lab: &Lab, method: &str) -> usize {
    lab.server.requests().iter().filter(|request| request.method() == Some(method)).count()
}

#[rstest]
#[case::ipv4_native(Family::V4, "native")]
#[case::ipv6_native(Family::V6, "native")]
#[case::ipv4_generic(Family::V4, "generic")]
fn each_call_is_refused_once_and_its_ack_absorbed(#[case] family: Family, #[case] mode: &str) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start(mode)?;
    lab.filter.done(&["on"])?;
    Sipp::start(&lab, family, "refused", CALLS, RATE)?.succeeds()?;

    // One INVITE, one 503 and one ACK for each call: more would be retransmissions, and fewer losses.
    let stats = lab.filter.stats()?;
    assert_eq!(stats.verdict("redirected")?, u64::from(CALLS), "{stats:?}");
    assert_eq!(stats.responder("answered")?, u64::from(CALLS), "{stats:?}");
    assert_eq!(stats.verdict("ack_absorbed")?, u64::from(CALLS), "{stats:?}");
    assert_eq!(lab.server.requests(), [], "the server saw something of a refused call");
    Ok(())
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn calls_complete_while_off(#[case] family: Family) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    Sipp::start(&lab, family, "completed", CALLS, RATE)?.succeeds()?;
    // Once each: the filter makes nobody wait so long that it asks again.
    for method in ["INVITE", "ACK", "BYE"] {
        assert_eq!(seen(&lab, method), CALLS as usize, "{method}");
    }
    assert_eq!(lab.filter.stats()?.verdict("off")?, u64::from(CALLS));
    Ok(())
}

#[rstest]
#[case::ipv4(Family::V4)]
#[case::ipv6(Family::V6)]
fn calls_that_are_up_hold_change_and_end_while_on(#[case] family: Family) -> Result<()> {
    const UP: u32 = 20;
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let sipp = Sipp::start(&lab, family, "held", UP, 100)?;
    filter_lab::wait::until("sipp's calls to be up", Duration::from_secs(5), || Ok(seen(&lab, "ACK") == UP as usize))?;
    lab.filter.done(&["on"])?;
    assert_eq!(seen(&lab, "INVITE"), UP as usize, "maintenance came too late for this test: calls were changed before");
    lab.is_refused(&lab.caller(family)?)?;

    sipp.succeeds()?;
    assert_eq!([seen(&lab, "INVITE"), seen(&lab, "ACK"), seen(&lab, "BYE")], [40, 40, 20]);
    let stats = lab.filter.stats()?;
    assert_eq!(stats.verdict("in_dialog")?, u64::from(UP), "{stats:?}");
    Ok(())
}
