//! Debian packages, by apt-get.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use super::requirement::in_path;
use crate::command;
use crate::ebpf::Version;

/// apt-get, which reads the package lists once, and only if a package is missing at all.
pub(super) struct Apt {
    updated: bool,
}

impl Apt {
    pub(super) fn new() -> Self {
        Self { updated: false }
    }

    /// Installs packages, or says how a person would.
    pub(super) fn install(&mut self, packages: &[&str]) -> Result<()> {
        self.update().with_context(|| format!("install the Debian packages {} or their like", packages.join(" ")))?;
        // --no-remove: what a person has chosen, say Debian's rustup, is not ours to throw out.
        let mut apt = apt_get();
        apt.args(["install", "--yes", "--quiet=2", "--no-install-recommends", "--no-remove"]).args(packages);
        command::output(&mut apt).map(drop)
    }

    /// The version that would be installed, if there is one.
    pub(super) fn candidate(&mut self, package: &str) -> Result<Option<Version>> {
        self.update()?;
        let policy = command::output(Command::new("apt-cache").env("LC_ALL", "C").args(["policy", package]))?;
        let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(version.and_then(Version::parse))
    }

    fn update(&mut self) -> Result<()> {
        if in_path("apt-get").is_none() {
            bail!("there is no apt-get here to do it");
        }
        if !Uid::effective().is_root() {
            bail!("it takes root: run `cargo xtask setup` once as root, or install it by hand");
        }
        if !self.updated {
            command::output(apt_get().args(["update", "--quiet=2"]))?;
            self.updated = true;
        }
        Ok(())
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
