//! Builds the XDP program and leaves it in `OUT_DIR` as `sip_filter`.
//!
//! The library takes it in by `aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sip_filter"))`.

use std::process::ExitCode;

#[path = "../xtask/src/ebpf/mod.rs"]
#[expect(dead_code, unused_imports, reason = "xtask shares these files: it lints and probes, this builds")]
mod ebpf;

fn main() -> ExitCode {
    ebpf::run_build_script(ebpf::SIP_FILTER, &["filter-common"])
}
