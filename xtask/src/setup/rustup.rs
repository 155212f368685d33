//! Installs toolchains and their components with rustup.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::requirement::Requirement;
use crate::{command, workspace};

/// Returns the requirement for a component of the toolchain in use, recognised by its cargo subcommand.
pub(super) fn host_component(name: &'static str, subcommand: &'static str) -> Requirement {
    let find = move || {
        // rustup has a proxy for each component's program, installed or not. Only running the program shows which.
        let version = command::stdout(workspace::cargo().args([subcommand, "--version"]))?;
        Ok(version.trim().to_owned())
    };
    Requirement::new(name, "check the code", find, move |_| {
        add_component(None, name).with_context(|| format!("add {name} to the Rust toolchain in use"))
    })
}

/// Adds `component` to `toolchain`, or to the toolchain in use.
pub(super) fn add_component(toolchain: Option<&str>, component: &str) -> Result<()> {
    let mut rustup = rustup()?;
    rustup.args(["component", "add", component]);
    if let Some(toolchain) = toolchain {
        rustup.args(["--toolchain", toolchain]);
    }
    command::run(&mut rustup)
}

/// Installs the newest nightly with rust-src and clippy, or adds these to an installed nightly.
pub(super) fn install_nightly() -> Result<()> {
    command::run(rustup()?.args([
        "toolchain",
        "install",
        "nightly",
        "--profile",
        "minimal",
        "--component",
        "rust-src",
        "--component",
        "clippy",
    ]))
}

fn rustup() -> Result<Command> {
    if command::find_program("rustup").is_none() {
        bail!("rustup is not available on this host");
    }
    Ok(Command::new("rustup"))
}
