//! What a responder has done, counted where other threads can read it.

use std::sync::atomic::{AtomicU64, Ordering};

use filter_reply::Unanswered;

/// The counters of one queue's responder. Only its thread writes them, so that they cost it no more than a store; all
/// only ever grow, except the three of frames.
#[derive(Debug, Default)]
#[repr(align(128))] // A pair of cache lines, so that no two responders write the same ones.
pub struct Counters {
    answered: AtomicU64,
    unanswered: [AtomicU64; Unanswered::ALL.len()],
    send_errors: AtomicU64,
    free_frames: AtomicU64,
    receiving_frames: AtomicU64,
    sending_frames: AtomicU64,
}

/// Where the frames of a UMEM are: `free + receiving + sending` is always all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Frames {
    /// In the responder's hands.
    pub free: u64,
    /// In the fill ring or the RX ring: waiting for a packet, or holding one that has not been read.
    pub receiving: u64,
    /// In the TX ring or the completion ring: to be sent, or sent and not taken back.
    pub sending: u64,
}

impl Counters {
    /// Requests that have been answered: their reply is in the TX ring.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Requests that came and were not answered, by reason.
    pub fn unanswered(&self) -> impl Iterator<Item = (Unanswered, u64)> {
        Unanswered::ALL.iter().zip(&self.unanswered).map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)))
    }

    /// How often the kernel did not take replies at once: the interface was down, or its queue full.
    pub fn send_errors(&self) -> u64 {
        self.send_errors.load(Ordering::Relaxed)
    }

    /// Where the frames were at the end of the responder's last round.
    pub fn frames(&self) -> Frames {
        Frames {
            free: self.free_frames.load(Ordering::Relaxed),
            receiving: self.receiving_frames.load(Ordering::Relaxed),
            sending: self.sending_frames.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn count_answered(&self, requests: u64) {
        add(&self.answered, requests);
    }

    pub(crate) fn count_unanswered(&self, reason: Unanswered, requests: u64) {
        if let Some(counter) = self.unanswered.get(reason as usize) {
            add(counter, requests);
        }
    }

    pub(crate) fn count_send_error(&self) {
        add(&self.send_errors, 1);
    }

    pub(crate) fn set_frames(&self, frames: Frames) {
        self.free_frames.store(frames.free, Ordering::Relaxed);
        self.receiving_frames.store(frames.receiving, Ordering::Relaxed);
        self.sending_frames.store(frames.sending, Ordering::Relaxed);
    }
}

/// Adds without a locked instruction: there is one writer.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}
