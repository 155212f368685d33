//! A receive buffer for Kamailio in which nobody has an advantage.
//!
//! The kernel fills a socket's buffer by the memory that a message lies in, which is a whole page for each frame of the load, and
//! less for a message that has come from a socket. In a buffer full of frames, where no other fits in, there would still be room for
//! the requests within dialogs, and Kamailio would seem to lose few of them. On a NIC all lie in memory of the same kind.

use anyhow::{Context as _, Result};

use crate::layout::PORT;
use crate::servers;
use crate::stage::Stage;

/// What Kamailio asks for: at least what a socket has, and as much more as it is allowed to, in steps
/// (`probe_max_receive_buffer()`). The kernel doubles it.
const LEAST: u64 = 212_992;
const MOST: u64 = 262_144;
const STEP: usize = 2048;

/// The `maxbuffer` at which the least room remains when the buffer is full of the load's frames. Nobody has the proxy's port yet.
pub(super) fn full_of_frames(stage: &mut Stage) -> Result<u32> {
    let frame = memory_of_a_frame(stage)?;
    let best = (LEAST..=MOST).step_by(STEP).min_by_key(|octets| 2 * octets % frame);
    best.and_then(|octets| u32::try_from(octets).ok()).context("a size for Kamailio's receive buffer")
}

/// What the kernel counts for a frame of the load that waits at a socket, in octets.
fn memory_of_a_frame(stage: &mut Stage) -> Result<u64> {
    let _waiting = stage.inside.bind_udp(servers::proxy());
    let sent = stage.send_at_once(10)?;
    let shown = stage.inside.exec(&format!("ss --no-header --udp --all --numeric --memory sport = :{PORT}"));
    let queued = shown.split_once("skmem:(r").and_then(|(_, rest)| rest.split(',').next()?.parse::<u64>().ok());
    let queued = queued.with_context(|| format!("no memory of a socket in {shown:?}"))?;
    Some(queued / sent.frames).filter(|octets| *octets > 0).context("no frame of the load has reached the socket")
}
