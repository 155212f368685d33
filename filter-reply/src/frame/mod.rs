//! The headers around a message: those of a request's frame are parsed, those of its response are written.

mod checksum;
pub(crate) mod datagram;
pub(crate) mod envelope;
