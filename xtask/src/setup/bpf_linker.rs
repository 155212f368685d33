//! bpf-linker, built for the LLVM of the compiler whose bitcode it reads.
//!
//! It is linked to the very libLLVM that the compiler itself has loaded: that one is there, fits to the
//! patch release, and needs no package with LLVM's headers or archives.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result};

use super::bpf_rust::toolchain;
use super::requirement::Requirement;
use crate::ebpf::{self, Toolchain};
use crate::{command, workspace};

/// The version that the project is tested with, and the LLVMs that it can be built for.
const TRIED: &str = "^0.13";
const TRIED_LLVMS: std::ops::RangeInclusive<u32> = 21..=23;

/// The linker, tried on what the compiler writes.
pub(super) fn requirement() -> Requirement {
    let find = || {
        let toolchain = toolchain()?;
        let linker = ebpf::find_linker().map_err(Error::msg)?;
        ebpf::probe_linker(&linker, &toolchain).map_err(Error::msg)?;
        Ok(format!("{}, links what {} writes", linker.display(), toolchain.name))
    };
    Requirement::new("bpf-linker", "links the XDP program", find, |_| install(&toolchain()?))
}

fn install(toolchain: &Toolchain) -> Result<()> {
    let libllvm = libllvm(toolchain).with_context(|| {
        format!(
            "install bpf-linker for LLVM {0} by hand: no libLLVM {0} is where {1} could have it",
            toolchain.llvm, toolchain.name
        )
    })?;
    let prefix = workspace::target()?.join("bpf-linker");
    lay_prefix(&prefix, &libllvm).with_context(|| format!("cannot prepare {}", prefix.display()))?;
    let mut cargo = workspace::cargo();
    cargo
        .args(["install", "bpf-linker", "--locked", "--force", "--no-default-features"])
        .arg(format!("--features=llvm-{}", toolchain.llvm))
        .arg("--target-dir")
        .arg(prefix.join("target"))
        // LLVM does the work; the little around it need not be fast, but is waited for on a bare machine.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("LLVM_PREFIX", &prefix)
        .env("RUSTFLAGS", rpath(&libllvm));
    // A newer LLVM takes a newer bpf-linker, and the newest is the best guess.
    if TRIED_LLVMS.contains(&toolchain.llvm) {
        cargo.args(["--version", TRIED]);
    }
    command::run(&mut cargo)?;
    fs::remove_dir_all(&prefix).with_context(|| format!("cannot remove {}", prefix.display()))
}

/// The LLVM that the compiler loads. Only a file with the bare soname will do: `.so` may be a linker script.
fn libllvm(toolchain: &Toolchain) -> Option<PathBuf> {
    let names = [format!("libLLVM.so.{}", toolchain.llvm), format!("libLLVM-{}.so.1", toolchain.llvm)];
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let folders = [
        toolchain.sysroot.join("lib"),
        multiarch.into(),
        format!("/usr/lib/llvm-{}/lib", toolchain.llvm).into(),
        "/usr/lib64".into(),
    ];
    folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten().map(|entry| entry.path()).find(
        |file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            names.iter().any(|wanted| name.starts_with(wanted.as_str()))
        },
    )
}

/// A folder as bpf-linker's build wants it: `lib/libLLVM.so`.
fn lay_prefix(prefix: &Path, libllvm: &Path) -> Result<()> {
    let lib = prefix.join("lib");
    let link = lib.join("libLLVM.so");
    fs::create_dir_all(&lib)?;
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link)?;
    }
    Ok(symlink(libllvm, link)?)
}

/// Tells the installed linker where its libLLVM is; a toolchain's own folder is not searched by itself.
fn rpath(libllvm: &Path) -> String {
    libllvm.parent().map(|folder| format!("-Clink-arg=-Wl,-rpath,{}", folder.display())).unwrap_or_default()
}
