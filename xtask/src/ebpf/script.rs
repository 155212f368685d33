//! The work of a build script that embeds an object: builds the object and copies it to `OUT_DIR`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use super::find_linker;
use super::program::{Object, Program};
use super::toolchain::Toolchain;

/// Builds `object` and copies it to `OUT_DIR` under the name of its binary.
///
/// `crates` are the folders, relative to the workspace's root, of the crates that `object` depends on.
#[expect(clippy::print_stderr, reason = "cargo shows the standard error of a build script that fails")]
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
    let workspace = manifest.parent().ok_or("CARGO_MANIFEST_DIR has no parent folder")?;
    let out_dir = directory("OUT_DIR")?;
    watch(workspace, object, crates);
    let with_remedy = |why| format!("{why}\nrun `cargo xtask setup`, which installs missing software");
    let toolchain = Toolchain::find().map_err(with_remedy)?;
    let linker = find_linker().map_err(with_remedy)?;
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
    fs::copy(&built, out_dir.join(object.binary))
        .map_err(|error| format!("cannot copy {} to {}: {error}", built.display(), out_dir.display()))?;
    Ok(())
}

/// Makes cargo run the build script again after a change in any source of `object`.
fn watch(workspace: &Path, object: Object, crates: &[&str]) {
    let folders = crates.iter().chain([&object.folder]);
    let sources = folders.flat_map(|folder| [format!("{folder}/src"), format!("{folder}/Cargo.toml")]);
    for source in sources.chain(["Cargo.toml".to_owned(), "Cargo.lock".to_owned()]) {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }
}

fn compile(program: &Program<'_>) -> Result<(), String> {
    let mut command = program.build();
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!(
            "{stderr}\ncannot build {} with {}; if the linker failed, run `cargo xtask setup`, which tries the linker \
             and builds one that fits the toolchain",
            program.object.package, program.toolchain
        ));
    }
    for line in stderr.lines() {
        println!("cargo:warning={line}");
    }
    Ok(())
}

/// Returns `target/ebpf`, so that debug and release builds, before and after a change of dependencies, share one
/// `core`.
///
/// `OUT_DIR` is `target/PROFILE/build/PACKAGE/out`. If cargo nested it differently, the result would be another folder
/// of the same tree, which works too: the outer cargo must not hold a lock on it, and nothing else matters.
fn shared_target(out_dir: &Path) -> PathBuf {
    out_dir.ancestors().nth(4).unwrap_or(out_dir).join("ebpf")
}

fn directory(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{variable} is not set: this is a build script, which cargo runs"))
}
