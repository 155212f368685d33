//! The fates of new calls.

use std::net::SocketAddr;
use std::time::Duration;

use crate::caller::Caller;
use crate::frame::Frame;
use crate::lab::Lab;
use crate::request::Request;
use crate::sip_server::SipServer;
use crate::wait;
use crate::wire::{CALLER_INTERFACE, End, Family, mac};

/// Time without a response after which a call has got none. Emulated hosts answer within some 10 ms.
const SILENCE: Duration = Duration::from_secs(2);

/// Both IP versions, each of which has code of its own in the program.
pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The fate of a new call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It got a 503, and the proxy saw nothing of it.
    Refused,
    /// The proxy accepted it.
    Passed,
    /// It got no response: a black hole, unless the host does not exist.
    Unanswered,
}

/// Makes a new call and returns what became of it.
///
/// # Panics
///
/// Panics if the proxy saw a call that it did not answer, or did not see one that it answered.
#[track_caller]
pub(super) fn fate(server: &SipServer, caller: &Caller) -> Fate {
    fate_within(SILENCE, server, caller)
}

/// Makes a new call and returns what became of it, as [`fate`] does, with less patience.
#[track_caller]
pub(super) fn fate_within(silence: Duration, server: &SipServer, caller: &Caller) -> Fate {
    let invite = caller.invite();
    let status = caller.ask_within(&invite, silence).and_then(|response| response.status());
    let has_arrived = server.has_seen(invite.header("Call-ID"));
    match (status, has_arrived) {
        (Some(503), false) => Fate::Refused,
        (Some(200), true) => Fate::Passed,
        (None, false) => Fate::Unanswered,
        (status, _) => panic!("a new call got {status:?}, and the proxy saw it: {has_arrived}"),
    }
}

/// Makes a new call, and checks what became of it.
///
/// # Panics
///
/// Panics if that is not `expected`.
#[track_caller]
pub(super) fn expect(lab: &Lab, caller: &Caller, expected: Fate) {
    let fate = fate(&lab.server, caller);
    let stats = lab.filter.stats();
    assert!(
        fate == expected,
        "a call from {} is {fate:?}, not {expected:?}; verdicts {:?}, answered {}",
        caller.local(),
        stats.nonzero_verdicts(),
        stats.answered()
    );
}

/// Makes new calls until one has the fate `expected`. Returns the time that this took.
///
/// # Panics
///
/// Panics after `timeout`.
#[track_caller]
pub(super) fn wait_for(lab: &Lab, caller: &Caller, expected: Fate, timeout: Duration) -> Duration {
    let what = format_args!("a call from {} to be {expected:?}", caller.local());
    wait::until(what, timeout, || fate_within(Duration::from_millis(200), &lab.server, caller) == expected)
}

/// Creates a frame with a new INVITE from the callers' host, to a MAC address and an address of the test's choice.
#[track_caller]
pub(super) fn invite_frame(lab: &Lab, destination_mac: [u8; 6], destination: SocketAddr) -> Frame {
    let source = (End::Caller.address(Family::V4), 5062).into();
    Frame {
        source_mac: mac(&lab.outside, CALLER_INTERFACE),
        destination_mac,
        tags: Vec::new(),
        ipv4_options: Vec::new(),
        ipv6_extensions: Vec::new(),
        source,
        destination,
        payload: Request::invite(source, destination).to_bytes(),
        padding: 0,
    }
}
