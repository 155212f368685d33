//! Debian packages, by apt-get.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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

    /// The same for packages that would start a service: it is installed, and not started now.
    pub(super) fn install_without_services(&mut self, packages: &[&str]) -> Result<()> {
        let _policy = NoServices::begin()?;
        self.install(packages)
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

/// While this lives, packages start no services (invoke-rc.d(8): `policy-rc.d` answers 101, "not allowed").
struct NoServices {
    /// Whether the file is ours: one that is there already is somebody's policy, and stays.
    ours: bool,
}

impl NoServices {
    const FILE: &str = "/usr/sbin/policy-rc.d";

    fn begin() -> Result<Self> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o755).open(Self::FILE);
        match made {
            Ok(mut file) => {
                file.write_all(b"#!/bin/sh\nexit 101\n").with_context(|| format!("write {}", Self::FILE))?;
                Ok(Self { ours: true })
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { ours: false }),
            Err(error) => Err(error).with_context(|| format!("make {}", Self::FILE)),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(Self::FILE)
        {
            eprintln!("setup: remove {} by hand, or no package will start its service: {error}", Self::FILE);
        }
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
