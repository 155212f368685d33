//! Builds the XDP programs of the benchmarks and leaves them in `OUT_DIR` as `filter_bench`.

use std::process::ExitCode;

#[path = "../xtask/src/ebpf/mod.rs"]
#[expect(dead_code, unused_imports, reason = "xtask shares these files: it lints and probes, this builds")]
mod ebpf;

fn main() -> ExitCode {
    ebpf::run_build_script(ebpf::BENCH, &[])
}
