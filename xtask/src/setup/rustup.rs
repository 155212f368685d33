//! Components and toolchains, by rustup.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::requirement::{Requirement, in_path};
use crate::{command, workspace};

/// A component of the toolchain that runs us, seen by whether cargo has its subcommand.
pub(super) fn host_component(name: &'static str, program: &'static str) -> Requirement {
    let subcommand = program.trim_start_matches("cargo-");
    let find = move || {
        // The program may be there as rustup's proxy without the component behind it: only running it tells.
        let version = command::output(workspace::cargo().args([subcommand, "--version"]))?;
        Ok(version.trim().to_owned())
    };
    Requirement::new(name, "is part of the checks", find, move |_| {
        add_component(None, name).with_context(|| format!("add {name} to the Rust toolchain in use"))
    })
}

/// Adds a component to a toolchain, or to the one in use.
pub(super) fn add_component(toolchain: Option<&str>, component: &str) -> Result<()> {
    let mut rustup = rustup()?;
    rustup.args(["component", "add", component]);
    if let Some(toolchain) = toolchain {
        rustup.args(["--toolchain", toolchain]);
    }
    command::run(&mut rustup)
}

/// Installs the newest nightly with the library's source, or adds what an installed one lacks.
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
    if in_path("rustup").is_none() {
        bail!("there is no rustup here to do it");
    }
    Ok(Command::new("rustup"))
}
