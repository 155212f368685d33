//! A size of Kamailio's receive buffer that gives no message an advantage.
//!
//! The kernel charges a socket's buffer with the memory that holds a message: a whole page for each frame of the load,
//! and less for a message that was sent from a socket. In a buffer that has no room for another frame there could still
//! be room for requests within dialogs, and Kamailio would seem to lose few of them. On a real NIC all messages are in
//! memory of the same kind.

use anyhow::{Context as _, Result};

use crate::layout::PORT;
use crate::servers;
use crate::stage::Stage;

/// Smallest size that Kamailio requests (`probe_max_receive_buffer()`): a socket's default. The kernel doubles what is
/// requested.
const LEAST: u64 = 212_992;
/// Largest size that Kamailio requests by default (its parameter `maxbuffer`).
const MOST: u64 = 262_144;
/// Step in which Kamailio raises the size.
const STEP: usize = 2048;

/// Returns the `maxbuffer` that leaves the least room when the buffer is full of frames of the load. The proxy's port
/// must be free.
pub(super) fn fullest_size(stage: &mut Stage) -> Result<u32> {
    let frame = memory_of_a_frame(stage)?;
    let best = (LEAST..=MOST).step_by(STEP).min_by_key(|bytes| 2 * bytes % frame);
    best.and_then(|bytes| u32::try_from(bytes).ok()).context("no size for Kamailio's receive buffer")
}

/// Returns the memory in bytes that the kernel charges for a frame of the load that waits at a socket.
fn memory_of_a_frame(stage: &mut Stage) -> Result<u64> {
    let _waiting = stage.inside.bind_udp(servers::proxy());
    let sent = stage.send_at_once(10)?;
    let shown = stage.inside.exec(&format!("ss --no-header --udp --all --numeric --memory sport = :{PORT}"));
    let queued = shown.split_once("skmem:(r").and_then(|(_, rest)| rest.split(',').next()?.parse::<u64>().ok());
    let queued = queued.with_context(|| format!("ss shows no memory of a socket: {shown:?}"))?;
    Some(queued / sent.frames).filter(|bytes| *bytes > 0).context("no frame of the load has reached the socket")
}
