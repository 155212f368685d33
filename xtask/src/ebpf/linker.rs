//! Finds bpf-linker, and tries whether it fits a toolchain.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::program::TARGET;
use super::toolchain::Toolchain;

/// A crate that needs nothing, not even `core`: enough to see the linker read this compiler's bitcode.
const PROBE: &str = "#![feature(no_core)]\n#![no_core]\n#![no_main]\n";

/// The bpf-linker to use: the first in `PATH`, or the one where `cargo install` puts it.
pub(crate) fn find() -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let linker = env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|folder| folder.join("bpf-linker"))
        .find(|file| file.is_file())
        .ok_or("bpf-linker is not installed")?;
    // It is linked to the LLVM of one toolchain and cannot start when an update has taken that away.
    let started = Command::new(&linker).arg("--version").output();
    match started {
        Ok(output) if output.status.success() => Ok(linker),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(format!("{} does not start: {}", linker.display(), why.trim()))
        }
        Err(error) => Err(format!("{} does not start: {error}", linker.display())),
    }
}

/// Compiles and links an empty program: `Ok` when `linker` understands what `toolchain` writes.
pub(crate) fn probe(linker: &Path, toolchain: &Toolchain) -> Result<(), String> {
    let object = env::temp_dir().join(format!("sip-filter-probe-{}.o", std::process::id()));
    let result = compile_probe(linker, toolchain, &object);
    // There is nothing to remove when the compiler failed.
    let _ = std::fs::remove_file(&object);
    result
}

fn compile_probe(linker: &Path, toolchain: &Toolchain, object: &Path) -> Result<(), String> {
    let failed = |why: String| format!("{} cannot link what {toolchain} writes: {why}", linker.display());
    let mut rustc = toolchain
        .rustc()
        .args(["--crate-name", "probe", "--crate-type", "bin", "--target", TARGET, "-"])
        .arg(format!("-Clinker={}", linker.display()))
        .arg("-o")
        .arg(object)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = rustc.stdin.take() {
        stdin.write_all(PROBE.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = rustc.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        Err(failed(text.lines().find(|line| line.contains("error")).unwrap_or("the compiler failed").trim().into()))
    }
}
