//! `cargo xtask build`: everything, in the one profile that demo and tests use too.

use std::path::PathBuf;

use anyhow::Result;

use crate::{command, workspace};

/// Builds all and returns the path of the binary `sip-filter`.
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

/// Where cargo puts `sip-filter` in that profile.
pub(crate) fn binary(profile: &str) -> Result<PathBuf> {
    Ok(workspace::target()?.join(profile).join("sip-filter"))
}
