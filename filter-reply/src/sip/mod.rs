//! SIP: the parts of a request that its response repeats.

pub(crate) mod address;
pub(crate) mod headers;
pub(crate) mod lanes;
pub(crate) mod lexis;
pub(crate) mod lines;
pub(crate) mod params;
pub(crate) mod request;
pub(crate) mod start_line;
pub(crate) mod via;
