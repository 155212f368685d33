//! Builds the XDP programs: finds a toolchain that can, finds the linker, and calls cargo.
//!
//! xtask and the build scripts of `filter-user` and `bench` share these files. The build scripts include them by path,
//! so that a plain `cargo build` works without a build dependency. For that reason only `std` is used here.
//!
//! # Comparison with aya-build
//!
//! aya-build 0.2 could replace `program.rs` and `script.rs`. It is not used, for these reasons:
//!
//! * It takes a toolchain, but does not search for one that can build `core` for BPF. If rustup is present, it always
//!   calls `rustup run TOOLCHAIN`, which rules out Debian's Rust.
//! * It does not set `allows-misaligned-mem-access`. Each unaligned read would become a load per byte.
//! * It does not search for bpf-linker, and does not check that bpf-linker reads the compiler's bitcode.
//! * It has dependencies: anyhow, `cargo_metadata`, `rustc_version`, which.

mod environment;
mod linker;
mod program;
mod script;
mod toolchain;

pub(crate) use linker::{find as find_linker, probe as probe_linker};
pub(crate) use program::{BENCH, Object, Program, SIP_FILTER};
pub(crate) use script::run as run_build_script;
pub(crate) use toolchain::{MINIMUM, Toolchain, Version};
