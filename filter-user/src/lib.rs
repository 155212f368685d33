//! The daemon and the tools of sip-filter as a library.

pub mod policy;
pub mod responder;
