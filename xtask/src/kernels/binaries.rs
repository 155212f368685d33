//! The programs that run in the machines: those of an ordinary build, with the libraries of this host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{command, workspace};

/// The programs, without debug information, which would take most of a machine's memory.
pub(super) struct Binaries {
    /// First process of the guest.
    pub(super) guest: PathBuf,
    /// Daemon.
    pub(super) sip_filter: PathBuf,
    /// Tests of the XDP program on single packets.
    pub(super) fixtures: PathBuf,
    /// Shared libraries of the programs, with the dynamic loader.
    pub(super) libraries: BTreeSet<PathBuf>,
}

impl Binaries {
    /// Builds the programs in the profile of `cargo xtask test`, and puts them into `folder`.
    pub(super) fn build(folder: &Path) -> Result<Self> {
        let messages = build()?;
        let stripped = |name| strip(&executable(&messages, name)?, &folder.join(name));
        let guest = stripped("kernel-guest")?;
        let sip_filter = stripped("sip-filter")?;
        let fixtures = stripped("kernel")?;
        let mut libraries = BTreeSet::new();
        for program in [&guest, &sip_filter, &fixtures] {
            libraries.extend(linked(program)?);
        }
        Ok(Self { guest, sip_filter, fixtures, libraries })
    }
}

/// Builds the programs and returns cargo's messages.
fn build() -> Result<Vec<Value>> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--message-format=json-render-diagnostics"]);
    cargo.args(["--package", "filter-user", "--package", "filter-lab", "--package", "filter-integration"]);
    cargo.args(["--bin", "sip-filter", "--bin", "kernel-guest", "--test", "kernel"]);
    let built = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !built.status.success() {
        bail!("`{}` failed ({})", command::line(&cargo), built.status);
    }
    Ok(built.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Returns the path of the executable `name`, as cargo's messages report it.
fn executable(messages: &[Value], name: &str) -> Result<PathBuf> {
    let text = |message: &Value, pointer| message.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let mut of_target = messages.iter().filter(|message| text(message, "/target/name").as_deref() == Some(name));
    let path = of_target.find_map(|message| text(message, "/executable")).map(PathBuf::from);
    path.with_context(|| format!("cargo did not report the path of the executable {name}"))
}

/// Copies `program` to `stripped` without its debug information. Returns the path of the copy.
fn strip(program: &Path, stripped: &Path) -> Result<PathBuf> {
    command::stdout(Command::new("strip").arg("--strip-debug").arg("-o").arg(stripped).arg(program))?;
    Ok(stripped.to_owned())
}

/// Returns the path of a tool of this host, and the paths of its shared libraries.
pub(super) fn with_libraries(tool: &str) -> Result<Vec<PathBuf>> {
    // The folders of the guest's `PATH`, to which the tool is copied under the same path.
    let path = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
    let path = path.into_iter().find(|path| path.is_file());
    let path = path.with_context(|| format!("`{tool}` is not installed: run `cargo xtask setup`"))?;
    let mut files = linked(&path)?;
    files.push(path);
    Ok(files)
}

/// Returns the paths of the shared libraries of `program`, with the dynamic loader.
fn linked(program: &Path) -> Result<Vec<PathBuf>> {
    let linked = command::stdout(Command::new("ldd").arg(program))?;
    // A line is `libc.so.6 => /lib/…/libc.so.6 (0x…)`, or the path of the loader alone.
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(libraries.filter(|library| fs::metadata(library).is_ok()).collect())
}
