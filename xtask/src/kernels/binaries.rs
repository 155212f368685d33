//! What runs in the machines: the programs of an ordinary build, with the libraries of this host that they are linked with.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{command, workspace};

/// What is built: the guest's first process, the product, and the tests on single packets.
const NAMES: [&str; 3] = ["kernel-guest", "sip-filter", "kernel"];

/// The programs, without their debug information, which would be most of the machines' memory.
pub(super) struct Binaries {
    pub(super) guest: PathBuf,
    pub(super) sip_filter: PathBuf,
    pub(super) fixtures: PathBuf,
    /// The libraries of this host that they need, with the loader.
    pub(super) libraries: BTreeSet<PathBuf>,
}

impl Binaries {
    /// Builds them, as `cargo xtask test` does, and puts them into `folder`.
    pub(super) fn build(folder: &Path) -> Result<Self> {
        let mut cargo = workspace::cargo();
        cargo.args(["build", "--message-format=json-render-diagnostics"]);
        cargo.args(["--package", "filter-user", "--package", "filter-lab", "--package", "filter-integration"]);
        cargo.args(["--bin", "sip-filter", "--bin", "kernel-guest", "--test", "kernel"]);
        let built = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
        if !built.status.success() {
            bail!("`{}` failed ({})", command::line(&cargo), built.status);
        }
        let messages: Vec<serde_json::Value> =
            built.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let mut found = Vec::new();
        for name in NAMES {
            let message =
                messages.iter().find(|message| message["target"]["name"] == name && message["executable"].is_string());
            let built = message.and_then(|message| message["executable"].as_str());
            let built = built.with_context(|| format!("cargo does not say where it has put {name}"))?;
            let stripped = folder.join(name);
            command::stdout(Command::new("strip").arg("--strip-debug").arg("-o").arg(&stripped).arg(built))?;
            found.push(stripped);
        }
        let mut libraries = BTreeSet::new();
        for program in &found {
            libraries.extend(linked(program)?);
        }
        let [guest, sip_filter, fixtures] = <[PathBuf; 3]>::try_from(found).unwrap_or_default();
        Ok(Self { guest, sip_filter, fixtures, libraries })
    }
}

/// A tool of the host with the libraries that it is linked with.
pub(super) fn with_libraries(tool: &str) -> Result<Vec<PathBuf>> {
    let path = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
    let path = path.into_iter().find(|path| path.is_file());
    let path =
        path.with_context(|| format!("`{tool}` is not installed: `cargo xtask setup` installs what is needed"))?;
    let mut files = linked(&path)?;
    files.push(path);
    Ok(files)
}

/// The libraries that a program is linked with, and their loader.
fn linked(program: &Path) -> Result<Vec<PathBuf>> {
    let linked = command::stdout(Command::new("ldd").arg(program))?;
    // `libc.so.6 => /lib/…/libc.so.6 (0x…)`, and the loader by its path alone.
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(libraries.filter(|library| fs::metadata(library).is_ok()).collect())
}
