//! A virtual machine's kernel put to the test: what `cargo xtask kernels` boots runs this as its only process.

pub mod cell;
pub mod init;
pub mod plan;
