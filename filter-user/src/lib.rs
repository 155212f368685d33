//! The daemon and the commands of sip-filter as a library.

mod backoff;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod doctor;
pub mod domain;
pub mod kamailio;
pub mod metrics;
mod panic;
pub mod protocol;
pub mod responder;
mod stoppable_thread;
pub mod store;
pub mod sync;
pub mod user;
