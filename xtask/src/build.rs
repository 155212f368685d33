//! `cargo xtask build`: builds everything, in the profile that the demo and the tests use too.

use std::path::PathBuf;

use anyhow::Result;

use crate::{command, workspace};

/// Builds the default members of the workspace and returns the path of the binary `sip-filter`.
pub(crate) fn run(release: bool) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.arg("build");
    if release {
        cargo.arg("--release");
    }
    command::run(&mut cargo)?;
    let binary = binary(if release { "release" } else { "debug" })?;
    println!("built {}", binary.display());
    Ok(binary)
}

/// Returns the path of the binary `sip-filter` in the folder `profile` of the target folder.
pub(crate) fn binary(profile: &str) -> Result<PathBuf> {
    Ok(workspace::target()?.join(profile).join("sip-filter"))
}
