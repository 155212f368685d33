//! The parts of a SIP request that its response repeats.
//!
//! [`request`] drives the others: [`start_line`] first, then [`lines`] and [`headers`], and for the values of the
//! headers [`via`], [`address`] and [`params`]. All of them search bytes with [`lexis`] and [`lanes`].

pub(crate) mod address;
pub(crate) mod headers;
pub(crate) mod lanes;
pub(crate) mod lexis;
pub(crate) mod lines;
pub(crate) mod params;
pub(crate) mod request;
pub(crate) mod start_line;
pub(crate) mod via;
