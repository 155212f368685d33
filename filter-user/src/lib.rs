//! The daemon and the tools of sip-filter as a library.

pub mod dataplane;
pub mod policy;
pub mod refusal_log;
pub mod responder;
