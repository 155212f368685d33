//! Frames: reading the datagram of a request, and writing the headers around a response.

mod checksum;
pub(crate) mod datagram;
pub(crate) mod envelope;
