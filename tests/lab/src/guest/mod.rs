//! Tests of a virtual machine's kernel: `cargo xtask kernels` boots a machine that runs this as its only process.

pub mod cell;
pub mod init;
pub mod network;
mod nics;
pub mod plan;
