//! `cargo xtask audit`: checks all dependencies with cargo-deny, by the rules in deny.toml.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{command, workspace};

/// Version of cargo-deny that deny.toml is written for.
const TESTED: &str = "^0.20";

/// Checks licences, bans, sources and advisories. Installs cargo-deny if it is missing.
pub(crate) fn run() -> Result<()> {
    install()?;
    let rules = command::run(deny().args(["check", "bans", "licenses", "sources"]));
    let advisories = check_advisories();
    rules.and(advisories)
}

/// Installs cargo-deny, unless cargo has the subcommand.
fn install() -> Result<()> {
    if command::stdout(deny().arg("--version")).is_ok() {
        return Ok(());
    }
    println!("audit: installing cargo-deny, which takes some minutes");
    command::run(workspace::cargo().args(["install", "cargo-deny", "--locked", "--version", TESTED]))
        .with_context(|| format!("install cargo-deny {TESTED} by hand"))
}

/// Checks for security advisories and yanked versions. Prints a line and succeeds if their database is not available.
fn check_advisories() -> Result<()> {
    if command::stdout(deny().args(["fetch", "db"])).is_err() {
        println!("audit: security advisories not checked: `cargo deny fetch db` cannot download their database");
        return Ok(());
    }
    // Offline, because the database was downloaded just before.
    command::run(deny().args(["--offline", "check", "advisories"]))
}

fn deny() -> Command {
    let mut cargo = workspace::cargo();
    cargo.arg("deny");
    cargo
}
