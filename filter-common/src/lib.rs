//! What the XDP program and the daemon of sip-filter must agree on: the layouts of the BPF maps
//! between them, and the SIP grammar by which a call is told to be new. `no_std`, no I/O, no allocation.
#![no_std]

pub mod maps;
pub mod memory;
pub mod net;
mod reasons;
pub mod sip;
pub mod transaction;
pub mod verdict;
pub mod words;
