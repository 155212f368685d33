//! Code that the XDP program and the daemon of sip-filter share: the layouts of the BPF maps, the walk over a frame's
//! headers, and the SIP grammar that tells a new call from an established one. `no_std`, no I/O, no allocation.
#![no_std]
#![expect(non_ascii_idents, reason = "zerocopy's derive macros generate them")]

pub mod maps;
pub mod net;
mod reasons;
pub mod sip;
pub mod transaction;
pub mod transaction_cache;
pub mod verdict;
pub mod words;
