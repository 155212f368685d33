//! One thing that the build or the tests need: how to see that it is there, and how to get it.

use std::env;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::debian::Apt;

/// Says what was found, or why it is not there.
type Find = Box<dyn Fn() -> Result<String>>;
/// Gets it, or says in one line what a person can do.
type Install = Box<dyn Fn(&mut Apt) -> Result<()>>;

/// One thing that is needed.
pub(super) struct Requirement {
    /// Its name in the printed list.
    pub(super) what: &'static str,
    /// What for, for whoever has to decide whether to install it.
    why: &'static str,
    find: Find,
    install: Install,
}

/// What became of it.
pub(super) enum Outcome {
    Found(String),
    Installed(String),
    Missing(String),
}

impl Requirement {
    pub(super) fn new(
        what: &'static str,
        why: &'static str,
        find: impl Fn() -> Result<String> + 'static,
        install: impl Fn(&mut Apt) -> Result<()> + 'static,
    ) -> Self {
        Self { what, why, find: Box::new(find), install: Box::new(install) }
    }

    /// A program that comes in Debian packages.
    pub(super) fn program(name: &'static str, packages: &'static [&'static str], why: &'static str) -> Self {
        let find = move || {
            let file = in_path(name).with_context(|| format!("no program {name} in PATH"))?;
            Ok(file.display().to_string())
        };
        Self::new(name, why, find, |apt| apt.install(packages))
    }

    /// Looks, installs only what is not there, and looks again.
    pub(super) fn meet(&self, apt: &mut Apt) -> Outcome {
        let absent = match (self.find)() {
            Ok(found) => return Outcome::Found(found),
            Err(absent) => absent,
        };
        println!("setup: {:<16} {} ({absent:#}); getting it", self.what, self.why);
        match (self.install)(apt).and_then(|()| (self.find)()) {
            Ok(found) => Outcome::Installed(found),
            Err(why) => Outcome::Missing(format!("{why:#}")),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(what) => write!(f, "found: {what}"),
            Self::Installed(what) => write!(f, "installed: {what}"),
            Self::Missing(why) => write!(f, "MISSING: {why}"),
        }
    }
}

/// Where a program is. The sbin folders are looked at too, which are not in everybody's `PATH`.
pub(super) fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}
