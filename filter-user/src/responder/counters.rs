//! Counters of a responder, which other threads read while it runs.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use filter_reply::Unanswered;

use super::busy_poll::Polled;

/// Counters of one queue's responder, and the state of its socket.
///
/// There is one writer at a time, first the thread that creates the responder, then the responder's own. So counting
/// takes no locked instruction. `answered`, `unanswered`, `lost` and `send_errors` never decrease.
#[derive(Debug, Default)]
#[repr(align(128))] // A pair of cache lines: no two responders write to the same one.
pub struct Counters {
    answered: AtomicU64,
    unanswered: [AtomicU64; Unanswered::ALL.len()],
    lost: AtomicU64,
    send_errors: AtomicU64,
    free_frames: AtomicU64,
    receiving_frames: AtomicU64,
    sending_frames: AtomicU64,
    /// Time of busy polling in microseconds; 0 if it is off.
    busy_poll_us: AtomicU32,
    /// NAPI instance; 0 if there is none.
    napi_id: AtomicU32,
    /// True if the kernel sends none of the responses.
    cannot_send: AtomicBool,
}

/// Number of frames of a UMEM by their place. `free + receiving + sending` is constant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Frames {
    /// Frames that the responder owns.
    pub free: u64,
    /// Frames in the fill ring or the RX ring: empty, or with a request that has not been read.
    pub receiving: u64,
    /// Frames in the TX ring or the completion ring: with a response that has not been sent, or has not been taken
    /// back.
    pub sending: u64,
}

impl Counters {
    /// Returns the number of requests that were answered: the kernel has taken their response and did not drop it at
    /// once.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Returns the numbers of requests that were received and not answered, by reason.
    pub fn unanswered(&self) -> impl Iterator<Item = (Unanswered, u64)> {
        Unanswered::ALL.iter().zip(&self.unanswered).map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)))
    }

    /// Returns the number of redirected requests for which the socket had no room, as last published.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns the number of times that the kernel did not accept responses at once: the interface was down, or its
    /// queue was full, or it dropped a
    /// response.
    pub fn send_errors(&self) -> u64 {
        self.send_errors.load(Ordering::Relaxed)
    }

    /// Returns whether the kernel sends none of the responses, so that the responder has given up its lease.
    pub fn cannot_send(&self) -> bool {
        self.cannot_send.load(Ordering::Relaxed)
    }

    /// Returns the places of the frames after the last batch.
    pub fn frames(&self) -> Frames {
        Frames {
            free: self.free_frames.load(Ordering::Relaxed),
            receiving: self.receiving_frames.load(Ordering::Relaxed),
            sending: self.sending_frames.load(Ordering::Relaxed),
        }
    }

    /// Returns the busy polling of the socket, as last published, or `None` if it is off.
    pub fn busy_poll(&self) -> Option<Polled> {
        let us = self.busy_poll_us.load(Ordering::Relaxed);
        let napi_id = self.napi_id.load(Ordering::Relaxed);
        (us != 0).then_some(Polled { us, napi_id: (napi_id != 0).then_some(napi_id) })
    }

    pub(super) fn count_answered(&self, requests: u64) {
        add(&self.answered, requests);
    }

    pub(super) fn count_unanswered(&self, reason: Unanswered, requests: u64) {
        if let Some(counter) = self.unanswered.get(reason as usize) {
            add(counter, requests);
        }
    }

    pub(super) fn count_send_errors(&self, errors: u64) {
        add(&self.send_errors, errors);
    }

    pub(super) fn set_cannot_send(&self, cannot_send: bool) {
        self.cannot_send.store(cannot_send, Ordering::Relaxed);
    }

    pub(super) fn set_lost(&self, lost: u64) {
        self.lost.store(lost, Ordering::Relaxed);
    }

    pub(super) fn set_frames(&self, frames: Frames) {
        self.free_frames.store(frames.free, Ordering::Relaxed);
        self.receiving_frames.store(frames.receiving, Ordering::Relaxed);
        self.sending_frames.store(frames.sending, Ordering::Relaxed);
    }

    pub(super) fn set_busy_poll(&self, polled: Polled) {
        self.busy_poll_us.store(polled.us, Ordering::Relaxed);
        self.napi_id.store(polled.napi_id.unwrap_or(0), Ordering::Relaxed);
    }
}

/// Adds without a locked instruction, since there is only one writer.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}
