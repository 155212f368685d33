//! Builds the XDP program and leaves it in `OUT_DIR` as `sip_filter`.
//!
//! The library takes it in by `aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sip_filter"))`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

#[path = "../xtask/src/ebpf/mod.rs"]
#[expect(dead_code, unused_imports, reason = "xtask shares these files: it lints and probes, this builds")]
mod ebpf;

/// What the program is made of; a change in any of it builds it anew.
const SOURCES: [&str; 6] = [
    "filter-ebpf/src",
    "filter-ebpf/Cargo.toml",
    "filter-common/src",
    "filter-common/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let workspace = directory("CARGO_MANIFEST_DIR")?.join("..");
    let out_dir = directory("OUT_DIR")?;
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }
    let set_up = |why| format!("{why}\nrun `cargo xtask setup`, which installs what is missing");
    let toolchain = ebpf::Toolchain::find().map_err(set_up)?;
    let linker = ebpf::find_linker().map_err(set_up)?;
    let arch = env::var("CARGO_CFG_TARGET_ARCH").map_err(|error| format!("CARGO_CFG_TARGET_ARCH: {error}"))?;
    let program = ebpf::Program {
        toolchain: &toolchain,
        linker: &linker,
        workspace: &workspace,
        target_dir: &shared_target(&out_dir),
        arch: &arch,
    };
    compile(&program)?;
    let object = program.object();
    fs::copy(&object, out_dir.join("sip_filter")).map_err(|error| {
        format!("the XDP program was built but cannot be copied from {}: {error}", object.display())
    })?;
    Ok(())
}

fn compile(program: &ebpf::Program<'_>) -> Result<(), String> {
    let mut command = program.build();
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!(
            "{said}\nthe XDP program (filter-ebpf) does not build with {}; if it is the linker that complains, \
             `cargo xtask setup` tries it and builds one that fits",
            program.toolchain
        ));
    }
    for line in said.lines() {
        println!("cargo:warning={line}");
    }
    Ok(())
}

/// `target/ebpf`, so that a debug and a release build, and a change of dependencies, share one `core`.
///
/// `OUT_DIR` is `target/PROFILE/build/PACKAGE/out`. Were cargo to nest it otherwise, this would be another
/// folder of the same tree, and do as well: all that matters is that the outer cargo holds no lock on it.
fn shared_target(out_dir: &Path) -> PathBuf {
    out_dir.ancestors().nth(4).unwrap_or(out_dir).join("ebpf")
}

fn directory(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{variable} is not set: cargo runs this, not a person"))
}
