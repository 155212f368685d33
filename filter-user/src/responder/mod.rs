//! The responder: one thread per RX queue, which answers the requests that the XDP program redirects to it.
//!
//! [`Worker`] is the thread. It drives a [`QueueSocket`], passes each request to [`filter_reply::respond`], and renews
//! the [`Lease`] that allows the XDP program to redirect. It shares its state with other threads only by [`Counters`]
//! and [`RefusalLog`], so that none of them can hold it up.

mod busy_poll;
mod counters;
mod lease;
mod prefetch;
mod refusal_log;
mod refusal_log_writer;
mod send_health;
mod socket;
mod worker;

pub use busy_poll::Polled;
pub use counters::{Counters, Frames};

pub(crate) use lease::{Lease, monotonic_ns};
pub(crate) use refusal_log::RefusalLog;
pub(crate) use refusal_log_writer::RefusalLogWriter;
pub(crate) use socket::{LOCKED_BYTES_PER_QUEUE, OpenError, QueueSocket, probe};
pub(crate) use worker::{Shared, Worker};
