//! The headers around a message: parses those of a request, and writes those of its response.
#![forbid(unsafe_code)]

mod checksum;
pub(crate) mod datagram;
pub(crate) mod envelope;
