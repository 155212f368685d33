//! Builds the XDP program as `sip_filter` in `OUT_DIR`.
//!
//! The library includes it by `aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sip_filter"))`.

use std::process::ExitCode;

#[path = "../xtask/src/ebpf/mod.rs"]
#[expect(dead_code, unused_imports, reason = "xtask shares these files, and uses other parts of them")]
mod ebpf;

fn main() -> ExitCode {
    ebpf::run_build_script(ebpf::SIP_FILTER, &["filter-common"])
}
