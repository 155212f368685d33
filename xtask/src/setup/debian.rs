//! Installs Debian packages with apt-get.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use crate::command;
use crate::ebpf::Version;

/// apt-get. The package lists are updated once, before the first package that is missing.
pub(super) struct Apt {
    updated: bool,
}

impl Apt {
    /// Creates an `Apt` that has not updated the package lists yet.
    pub(super) fn new() -> Self {
        Self { updated: false }
    }

    /// Installs `packages`, or fails with the request to install them by hand.
    pub(super) fn install(&mut self, packages: &[&str]) -> Result<()> {
        self.update()
            .with_context(|| format!("install the Debian packages {} or their equivalents", packages.join(" ")))?;
        // With --no-remove, apt-get fails instead of removing a package that the user has chosen, such as rustup.
        let mut apt = apt_get();
        apt.args(["install", "--yes", "--quiet=2", "--no-install-recommends", "--no-remove"]).args(packages);
        command::stdout(&mut apt).map(drop)
    }

    /// Installs `packages` without starting the services in them.
    pub(super) fn install_without_services(&mut self, packages: &[&str]) -> Result<()> {
        let _policy = NoServices::begin()?;
        self.install(packages)
    }

    /// Returns the version of `package` that [`Self::install`] would install, if Debian has the package.
    pub(super) fn candidate(&mut self, package: &str) -> Result<Option<Version>> {
        self.update()?;
        let policy = command::stdout(Command::new("apt-cache").env("LC_ALL", "C").args(["policy", package]))?;
        let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(version.and_then(Version::parse))
    }

    /// Updates the package lists, unless this `Apt` has done so before.
    fn update(&mut self) -> Result<()> {
        if command::find_program("apt-get").is_none() {
            bail!("apt-get is not available on this host");
        }
        if !Uid::effective().is_root() {
            bail!("apt-get requires root: run `cargo xtask setup` as root once");
        }
        if !self.updated {
            command::stdout(apt_get().args(["update", "--quiet=2"]))?;
            self.updated = true;
        }
        Ok(())
    }
}

/// A guard that keeps packages from starting services: while it lives, `policy-rc.d` exits with 101, "action forbidden"
/// (invoke-rc.d(8)).
struct NoServices {
    /// Set if this guard created the file. A file that existed before is the administrator's policy and stays.
    created: bool,
}

impl NoServices {
    const FILE: &str = "/usr/sbin/policy-rc.d";

    fn begin() -> Result<Self> {
        let created = OpenOptions::new().write(true).create_new(true).mode(0o755).open(Self::FILE);
        match created {
            Ok(mut file) => {
                file.write_all(b"#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {}", Self::FILE))?;
                Ok(Self { created: true })
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { created: false }),
            Err(error) => Err(error).with_context(|| format!("cannot create {}", Self::FILE)),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.created
            && let Err(error) = fs::remove_file(Self::FILE)
        {
            eprintln!(
                "setup: cannot remove {0} ({error}); remove it by hand: while {0} exists, no package starts its service",
                Self::FILE
            );
        }
    }
}

/// Returns a command for apt-get that asks no questions.
fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
