//! bpf-linker, built for the LLVM of the compiler whose bitcode it links.
//!
//! It is linked against the libLLVM that the compiler itself loads. That library is present, matches to the patch
//! release, and needs no package with LLVM's headers or archives.

use std::ops::RangeInclusive;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Error, Result};

use super::bpf_rust::toolchain;
use super::requirement::Requirement;
use crate::ebpf::{self, Toolchain};
use crate::{command, workspace};

/// Version of bpf-linker that the project is tested with.
const TESTED: &str = "^0.13";
/// LLVM versions that [`TESTED`] can be built for.
const TESTED_LLVMS: RangeInclusive<u32> = 21..=23;

/// Returns the requirement for a bpf-linker that links what the compiler writes.
pub(super) fn requirement() -> Requirement {
    let find = || {
        let toolchain = toolchain()?;
        let linker = ebpf::find_linker().map_err(Error::msg)?;
        ebpf::probe_linker(&linker, &toolchain).map_err(Error::msg)?;
        Ok(format!("{}, links the output of {}", linker.display(), toolchain.name))
    };
    Requirement::new("bpf-linker", "link the XDP program", find, |_| install(&toolchain()?))
}

fn install(toolchain: &Toolchain) -> Result<()> {
    let libllvm = libllvm(toolchain).with_context(|| {
        format!(
            "install bpf-linker for LLVM {0} by hand: found no libLLVM {0} in the library folders of {1}",
            toolchain.llvm, toolchain.name
        )
    })?;
    let prefix = workspace::target()?.join("bpf-linker");
    create_prefix(&prefix, &libllvm).with_context(|| format!("cannot prepare {}", prefix.display()))?;
    let mut cargo = workspace::cargo();
    cargo
        .args(["install", "bpf-linker", "--locked", "--force", "--no-default-features"])
        .arg(format!("--features=llvm-{}", toolchain.llvm))
        .arg("--target-dir")
        .arg(prefix.join("target"))
        // LLVM does the work. Little optimisation of the code around it saves time during a setup.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("LLVM_PREFIX", &prefix)
        .env("RUSTFLAGS", rpath(&libllvm));
    // A newer LLVM needs a newer bpf-linker. The newest is the most likely to support it.
    if TESTED_LLVMS.contains(&toolchain.llvm) {
        cargo.args(["--version", TESTED]);
    }
    command::run(&mut cargo)?;
    fs::remove_dir_all(&prefix).with_context(|| format!("cannot remove {}", prefix.display()))
}

/// Returns the libLLVM that the compiler loads.
///
/// Searches for a file with the full soname only, because `libLLVM.so` may be a linker script.
fn libllvm(toolchain: &Toolchain) -> Option<PathBuf> {
    let names = [format!("libLLVM.so.{}", toolchain.llvm), format!("libLLVM-{}.so.1", toolchain.llvm)];
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let folders = [
        toolchain.sysroot.join("lib"),
        multiarch.into(),
        format!("/usr/lib/llvm-{}/lib", toolchain.llvm).into(),
        "/usr/lib64".into(),
    ];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    files.map(|entry| entry.path()).find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        names.iter().any(|wanted| name.starts_with(wanted.as_str()))
    })
}

/// Creates the folder that bpf-linker's build expects as `LLVM_PREFIX`: `lib/libLLVM.so`, a link to `libllvm`.
fn create_prefix(prefix: &Path, libllvm: &Path) -> Result<()> {
    let lib = prefix.join("lib");
    let link = lib.join("libLLVM.so");
    fs::create_dir_all(&lib)?;
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link)?;
    }
    Ok(symlink(libllvm, link)?)
}

/// Returns the compiler flag that stores the folder of `libllvm` in the linker's executable. The dynamic loader does
/// not search the folder of a rustup toolchain by itself.
fn rpath(libllvm: &Path) -> String {
    libllvm.parent().map(|folder| format!("-Clink-arg=-Wl,-rpath,{}", folder.display())).unwrap_or_default()
}
