//! The daemon and the tools of sip-filter as a library.

pub mod alarm;
pub mod config;
pub mod control;
pub mod cpus;
pub mod daemon;
pub mod dataplane;
pub mod doctor;
pub mod kamailio;
pub mod metrics;
pub mod node;
pub mod policy;
pub mod prefix;
pub mod refusal_log;
pub mod responder;
pub mod state_file;
pub mod store;
pub mod sync;
pub mod tag;
