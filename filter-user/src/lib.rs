//! The daemon of sip-filter, and what its commands share with it.

mod backoff;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod doctor;
pub mod domain;
pub mod kamailio;
pub mod metrics;
mod network;
#[cfg(test)]
mod option_help;
mod panic;
pub mod protocol;
pub mod responder;
mod stoppable_thread;
pub mod store;
pub mod sync;
pub mod user;
