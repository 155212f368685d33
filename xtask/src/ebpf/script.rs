//! What a build script does that needs an object: build it, and leave it in `OUT_DIR`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use super::find_linker;
use super::program::{Object, Program};
use super::toolchain::Toolchain;

/// Builds `object`, of which the crates in `crates` (folders of the workspace) are parts too, and copies it to `OUT_DIR`
/// under the name of its binary.
pub(crate) fn run(object: Object, crates: &[&str]) -> ExitCode {
    match build(object, crates) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn build(object: Object, crates: &[&str]) -> Result<(), String> {
    let manifest = directory("CARGO_MANIFEST_DIR")?;
    let workspace = manifest.parent().ok_or("CARGO_MANIFEST_DIR has no parent")?;
    let out_dir = directory("OUT_DIR")?;
    watch(workspace, object, crates);
    let set_up = |why| format!("{why}\nrun `cargo xtask setup`, which installs what is missing");
    let toolchain = Toolchain::find().map_err(set_up)?;
    let linker = find_linker().map_err(set_up)?;
    let arch = env::var("CARGO_CFG_TARGET_ARCH").map_err(|error| format!("CARGO_CFG_TARGET_ARCH: {error}"))?;
    let program = Program {
        object,
        toolchain: &toolchain,
        linker: &linker,
        workspace,
        target_dir: &shared_target(&out_dir),
        arch: &arch,
    };
    compile(&program)?;
    let built = program.path();
    fs::copy(&built, out_dir.join(object.binary)).map_err(|error| {
        format!("{} was built but cannot be copied from {}: {error}", object.binary, built.display())
    })?;
    Ok(())
}

/// What the object is made of; a change in any of it builds it anew.
fn watch(workspace: &Path, object: Object, crates: &[&str]) {
    let parts = crates.iter().chain([&object.folder]);
    let sources = parts.flat_map(|folder| [format!("{folder}/src"), format!("{folder}/Cargo.toml")]);
    for source in sources.chain(["Cargo.toml".to_owned(), "Cargo.lock".to_owned()]) {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }
}

fn compile(program: &Program<'_>) -> Result<(), String> {
    let mut command = program.build();
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!(
            "{said}\n{} does not build with {}; if it is the linker that complains, `cargo xtask setup` tries it and \
             builds one that fits",
            program.object.package, program.toolchain
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
