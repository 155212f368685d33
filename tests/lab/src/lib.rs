//! The laboratory: network namespaces, a SIP caller and a SIP server in them, raw frames, and the daemon under test.
//!
//! A test builds a [`lab::Lab`] (a caller's namespace, the proxy's, and the wire between them), starts the daemon on
//! the proxy's end of the wire, and checks what a caller receives and what reaches the proxy. Everything depends on
//! open descriptors and on `PR_SET_PDEATHSIG`, so nothing outlives the process, however the process ends.
//!
//! # Panics
//!
//! Functions do not return errors to a test. They panic at the line of the caller, with a sentence that says what was
//! attempted and on what. Only the parsers of received bytes return a `Result`, and the two programs that are read by a
//! person turn a panic into an error: [`demo`] and [`guest`].

#![deny(unsafe_code)]
#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "this is test code: a panic fails the test, and the harness shows what was printed"
)]

pub mod af_xdp;
pub mod baresip;
pub mod caller;
pub mod certificates;
pub mod checksum;
pub mod corpus;
pub mod daemon;
pub mod database;
pub mod demo;
pub mod failure;
pub mod frame;
pub mod guest;
pub mod installation;
pub mod interrupt;
pub mod kamailio;
pub mod lab;
pub mod message;
pub mod mutation;
pub mod namespace;
pub mod packet;
pub mod packet_socket;
pub mod process;
pub mod random;
pub mod request;
pub mod sip_server;
pub mod sipp;
pub mod stats;
pub mod wait;
pub mod wire;
