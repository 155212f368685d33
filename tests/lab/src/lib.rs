//! The laboratory: network namespaces, a SIP caller and a SIP server in them, raw frames, and the daemon under test.
//!
//! A test builds a [`lab::Lab`] (a caller's namespace, the proxy's, and the wire between them), starts the daemon on
//! the proxy's end of the wire and looks at what a caller sees and at what reaches the proxy. Everything hangs on
//! open descriptors and on `PR_SET_PDEATHSIG`, so nothing outlives the process, however it ends.

pub mod af_xdp;
pub mod baresip;
pub mod caller;
pub mod certificates;
pub mod checksum;
pub mod corpus;
pub mod daemon;
pub mod database;
pub mod demo;
pub mod frame;
pub mod guest;
pub mod installation;
pub mod interrupt;
pub mod kamailio;
pub mod lab;
pub mod message;
pub mod namespace;
pub mod packet;
pub mod packet_socket;
pub mod process;
pub mod random;
pub mod request;
pub mod server;
pub mod sipp;
pub mod stats;
pub mod wait;
pub mod wire;
