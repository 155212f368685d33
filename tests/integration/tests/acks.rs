//! The ACK to a refusal never reaches the server, which knows nothing of the call; any other ACK does.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, Map, MapData, MapInfo};
use aya::programs::loaded_programs;
use filter_common::maps::{POLICY, Policy};
use filter_lab::caller::Caller;
use filter_lab::installation::Installation;
use filter_lab::lab::Lab;
use filter_lab::request::Request;
use filter_lab::wait;
use filter_lab::wire::Family;
use rstest::rstest;

/// Sends `ack`, which must not reach the server, and be counted as absorbed.
fn is_absorbed(lab: &Lab, caller: &Caller, ack: &Request) -> Result<()> {
    let before = lab.filter.stats()?.verdict("ack_absorbed")?;
    caller.send(&ack.to_bytes())?;
    let call_id = ack.header("Call-ID");
    // Whatever was sent earlier is in the server's log when this is answered: both come the same way.
    caller.expect(&caller.request("OPTIONS"), 200)?;
    assert_eq!(lab.server.count("ACK", call_id), 0, "the server saw the ACK of a call that it does not know");
    assert_eq!(lab.filter.stats()?.verdict("ack_absorbed")?, before + 1);
    Ok(())
}

#[rstest]
#[case::ipv4_native(Family::V4, "native")]
#[case::ipv6_native(Family::V6, "native")]
#[case::ipv4_generic(Family::V4, "generic")]
fn the_ack_to_a_refusal_never_reaches_the_server(#[case] family: Family, #[case] mode: &str) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start(mode)?;
    let caller = lab.caller(family)?;
    lab.filter.done(&["on"])?;
    let (invite, response) = lab.is_refused(&caller)?;

    let ack = caller.refusal_ack(&invite, &response)?;
    is_absorbed(&lab, &caller, &ack)?;
    // A client sends it again for each retransmission of the response.
    is_absorbed(&lab, &caller, &ack)?;
    lab.filter.done(&["off"])?;
    is_absorbed(&lab, &caller, &ack)?;
    Ok(())
}

#[test]
fn nor_does_one_that_names_its_route() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;

    // With an outbound proxy the INVITE has Route headers, which its ACK repeats (RFC 3261 section 17.1.1.3).
    let routes = [format!("<sip:{};lr>", lab.proxy(Family::V4)), "<sip:second.example.com;lr;tag=none>".to_owned()];
    let mut invite = caller.invite();
    for route in &routes {
        invite.headers.insert(1, ("Route".to_owned(), route.clone()));
    }
    let response = caller.expect(&invite, 503)?;
    let mut ack = caller.refusal_ack(&invite, &response)?;
    for route in &routes {
        ack.headers.insert(1, ("Route".to_owned(), route.clone()));
    }
    is_absorbed(&lab, &caller, &ack)
}

#[test]
fn once_the_32_s_after_the_end_are_over_it_does() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    let (invite, response) = lab.is_refused(&caller)?;
    let ack = caller.refusal_ack(&invite, &response)?;
    lab.filter.done(&["off"])?;
    is_absorbed(&lab, &caller, &ack)?;
    assert_ne!(tail_until_ns(&lab)?, 0);

    // The daemon tells the program within a second, so that no ACK costs a look at the clock from then on.
    thread::sleep(Duration::from_secs(31));
    wait::until("the end of the 32 s", Duration::from_secs(5), || Ok(tail_until_ns(&lab)? == 0))?;
    caller.send(&ack.to_bytes())?;
    caller.expect(&caller.request("OPTIONS"), 200)?;
    assert_eq!(lab.server.count("ACK", ack.header("Call-ID")), 1);
    Ok(())
}

/// What the kernel has of it, in the policy of the daemon's program.
fn tail_until_ns(lab: &Lab) -> Result<u64> {
    let status = lab.filter.status()?;
    let id = status["interfaces"][0]["program"].as_u64().context("the id of the program")?;
    let program = loaded_programs().flatten().find(|program| u64::from(program.id()) == id).context("the program")?;
    for id in program.map_ids()?.context("the kernel tells no maps")? {
        let info = MapInfo::from_id(id)?;
        if info.name_as_str() == Some(POLICY) {
            let map = Map::Array(MapData::from_id(id)?);
            return Ok(Array::<_, Policy>::try_from(map)?.get(&0, 0)?.tail_until_ns);
        }
    }
    bail!("the program has no map {POLICY}")
}

#[test]
fn the_ack_of_a_call_that_is_up_reaches_the_server_while_on() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    let mut call = lab.goes_through(&caller)?;
    lab.server.wait_for("ACK", &call.call_id)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;

    caller.reinvite(&mut call)?;
    caller.expect(&caller.request("OPTIONS"), 200)?;
    assert_eq!(lab.server.count("ACK", &call.call_id), 2);
    assert_eq!(lab.filter.stats()?.verdict("ack_absorbed")?, 0);
    Ok(())
}

#[test]
fn the_ack_that_arrives_at_another_host_of_the_cluster_is_absorbed_there() -> Result<()> {
    let here = Lab::new()?;
    let _daemon = here.start("native")?;
    let mut there = Lab::new()?;
    there.filter = Installation::sharing(&there.inside, &here.filter)?;
    let _other = there.start("native")?;
    here.filter.done(&["on"])?;
    there.filter.done(&["reload"])?;

    let caller = here.caller(Family::V4)?;
    let (invite, response) = here.is_refused(&caller)?;
    let ack = caller.refusal_ack(&invite, &response)?;
    // As after a failover, by a virtual address or another choice of the upstream.
    let moved = there.caller(Family::V4)?;
    is_absorbed(&there, &moved, &ack)?;
    // A host that does not share the database leaves it alone.
    let stranger = Lab::new()?;
    let _third = stranger.start("native")?;
    stranger.filter.done(&["on"])?;
    stranger.caller(Family::V4)?.send(&ack.to_bytes())?;
    stranger.server.wait_for("ACK", ack.header("Call-ID")).context("the ACK of another cluster")
}
