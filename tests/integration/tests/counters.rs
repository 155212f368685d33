//! Counters add up: each packet is counted once, under the reason for what became of it.

use std::net::SocketAddr;

use anyhow::Result;
use filter_common::verdict::Verdict;
use filter_lab::caller::Caller;
use filter_lab::lab::Lab;
use filter_lab::wire::{End, Family, WireOptions};

#[test]
fn every_packet_is_counted_once_and_under_its_reason() -> Result<()> {
    let lab = Lab::with(WireOptions { quiet: true, ..WireOptions::default() })?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;

    // Off: an INVITE, its ACK, and the BYE of another call later on.
    let mut call = lab.goes_through(&caller)?;
    lab.filter.done(&["on"])?;
    for _ in 0..5 {
        lab.is_refused(&caller)?;
    }
    caller.reinvite(&mut call)?;
    caller.bye(&mut call)?;
    for _ in 0..2 {
        caller.expect(&caller.request("OPTIONS"), 200)?;
    }
    let mut undecided = caller.invite();
    undecided.push("To", "<sip:other@198.18.0.2>;tag=x");
    caller.expect(&undecided, 200)?;
    let mut fragmented = caller.invite();
    fragmented.pad_beyond(2000);
    caller.expect(&fragmented, 200)?;
    let elsewhere = SocketAddr::new(End::Proxy.address(Family::V4), 5098);
    Caller::new(&lab.outside, SocketAddr::new(End::Caller.address(Family::V4), 0), elsewhere)?
        .send(&caller.invite().to_bytes())?;

    let stats = lab.counted(16)?;
    let expected = [
        ("fragment", 2),
        ("in_dialog", 1),
        // Two ACKs, one BYE, two OPTIONS.
        ("not_invite", 5),
        ("off", 1),
        ("other_port", 1),
        ("redirected", 5),
        ("undecided", 1),
    ];
    assert_eq!(stats.verdicts().into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(stats.seen(), 16);
    assert_eq!(stats.responder("answered")?, 5);
    Ok(())
}

#[test]
fn what_was_redirected_was_answered_refused_or_lost() -> Result<()> {
    let lab = Lab::with(WireOptions { quiet: true, ..WireOptions::default() })?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;

    let sent = lab.send_bursts(&caller)?;
    // New calls, but without what a response needs.
    for name in ["CSeq", "Via", "From", "Call-ID"] {
        let mut invite = caller.invite();
        invite.headers.retain(|(header, _)| header != name);
        caller.send(&invite.to_bytes())?;
    }
    // What the wire itself drops (the ring of a veth queue holds 256) comes to nobody's notice. One INVITE was first.
    let arrived = sent + 4 + 1 - lab.interface_counter(End::Caller, "tx", "dropped")?;
    let stats = lab.counted(arrived)?;
    assert_eq!(stats.seen(), arrived, "{stats:?}");
    assert_eq!(stats.handled(), stats.verdict("redirected")?, "{stats:?}");
    Ok(())
}

#[test]
fn all_verdicts_have_their_name_in_the_stats() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let stats = lab.filter.stats()?;
    for verdict in Verdict::ALL {
        stats.verdict(verdict.name())?;
    }
    Ok(())
}
