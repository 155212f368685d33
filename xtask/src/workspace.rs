//! Where the workspace and its target folder are, and the cargo that runs us.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The cargo that started us, in the workspace's root, so that all tasks use one compiler and one cache.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // These describe xtask itself, and would make a child's build scripts believe they belonged to it.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// The target folder, wherever a person's settings put it.
pub(crate) fn target() -> Result<PathBuf> {
    let metadata = command::output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("`cargo metadata` wrote no JSON")?;
    let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target_directory")?;
    Ok(target.into())
}
