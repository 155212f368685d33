//! Building the XDP program: a Rust that can, the linker it needs, and the call to cargo.
//!
//! Only `std` is used here, because two programs share these files: xtask, and `filter-user/build.rs`,
//! which takes them in by path so that a plain `cargo build` works without a build dependency.

mod environment;
mod linker;
mod program;
mod toolchain;

pub(crate) use linker::{find as find_linker, probe as probe_linker};
pub(crate) use program::Program;
pub(crate) use toolchain::{MINIMUM, Toolchain, Version};
