//! The responder: answers the requests that the XDP program redirects, in one thread for each RX queue.
//!
//! Its packet path is the crate `filter-reply`. Around it are the AF_XDP socket with its memory (`socket`), and the thread
//! that drives both and renews the queue's lease (`worker`, `lease`).

mod busy_poll;
mod counters;
mod lease;
mod prefetch;
mod refusal_log;
mod socket;
mod worker;

pub use busy_poll::Polled;
pub use counters::{Counters, Frames};

pub(crate) use busy_poll::BusyPoll;
pub(crate) use lease::{Lease, monotonic_ns};
pub(crate) use refusal_log::{RefusalLog, Writer};
pub(crate) use socket::{LOCKED, OpenError, QueueSocket, probe};
pub(crate) use worker::Worker;
