//! Finds bpf-linker, and checks that it can link the output of a toolchain.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::{env, fs};

use super::program::TARGET;
use super::toolchain::Toolchain;

/// A crate that depends on nothing, not even `core`. Linking it shows whether the linker reads the compiler's bitcode.
const PROBE: &str = "#![feature(no_core)]\n#![no_core]\n#![no_main]\n";

/// Returns the path of bpf-linker: the first one in `PATH`, or the one in the folder of `cargo install`.
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
    // It loads the libLLVM of one toolchain, and cannot start after an update that removed this library.
    let started = Command::new(&linker).arg("--version").output();
    match started {
        Ok(output) if output.status.success() => Ok(linker),
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("{} does not start: {}", linker.display(), stderr.trim()))
        }
        Err(error) => Err(format!("{} does not start: {error}", linker.display())),
    }
}

/// Compiles and links an empty program. Fails if `linker` does not read the bitcode that `toolchain` writes.
pub(crate) fn probe(linker: &Path, toolchain: &Toolchain) -> Result<(), String> {
    let object = env::temp_dir().join(format!("sip-filter-probe-{}.o", process::id()));
    let result = compile_probe(linker, toolchain, &object);
    // The file does not exist if the compiler failed.
    let _ = fs::remove_file(&object);
    result
}

fn compile_probe(linker: &Path, toolchain: &Toolchain, object: &Path) -> Result<(), String> {
    let failed = |why: String| format!("{} cannot link the output of {toolchain}: {why}", linker.display());
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
        let stderr = String::from_utf8_lossy(&output.stderr);
        let error = stderr.lines().find(|line| line.contains("error")).unwrap_or("the compiler failed");
        Err(failed(error.trim().to_owned()))
    }
}
