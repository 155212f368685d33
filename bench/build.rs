//! Builds the XDP programs of the benchmarks into `OUT_DIR`, as the file `filter_bench`.

use std::process::ExitCode;

#[path = "../xtask/src/ebpf/mod.rs"]
#[expect(dead_code, unused_imports, reason = "xtask shares these files; this script only builds")]
mod ebpf;

fn main() -> ExitCode {
    ebpf::run_build_script(ebpf::BENCH, &[])
}
