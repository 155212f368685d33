//! The daemon and the tools of sip-filter as a library.

pub mod alarm;
pub mod dataplane;
pub mod policy;
pub mod store;
pub mod tag;
