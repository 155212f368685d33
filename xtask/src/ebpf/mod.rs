//! Building XDP programs: a Rust that can, the linker it needs, and the call to cargo.
//!
//! Only `std` is used here, because xtask shares these files with the build scripts of `filter-user` and `bench`,
//! which take them in by path so that a plain `cargo build` works without a build dependency.

mod environment;
mod linker;
mod program;
mod script;
mod toolchain;

pub(crate) use linker::{find as find_linker, probe as probe_linker};
pub(crate) use program::{BENCH, Object, Program, SIP_FILTER};
pub(crate) use script::run as run_build_script;
pub(crate) use toolchain::{MINIMUM, Toolchain, Version};
