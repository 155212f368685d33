//! A requirement of the build or the tests: how to find it and how to install it.

use std::fmt;

use anyhow::{Context as _, Result};

use super::debian::Apt;
use crate::command;

/// Describes the installed software, or fails with the reason why it does not meet the requirement.
type Find = Box<dyn Fn() -> Result<String>>;
/// Installs the software, or fails with one line that says how to install it by hand.
type Install = Box<dyn Fn(&mut Apt) -> Result<()>>;

/// Software that the build or the tests need.
pub(super) struct Requirement {
    /// Name in the printed list.
    name: &'static str,
    /// Purpose, as the end of a sentence that begins with "needed to".
    purpose: &'static str,
    find: Find,
    install: Install,
}

/// Outcome of [`Requirement::meet`], with a description or a remedy.
pub(super) enum Outcome {
    Found(String),
    Installed(String),
    Missing(String),
}

impl Requirement {
    /// Creates a requirement from its name, its purpose ("needed to …") and its two functions.
    pub(super) fn new(
        name: &'static str,
        purpose: &'static str,
        find: impl Fn() -> Result<String> + 'static,
        install: impl Fn(&mut Apt) -> Result<()> + 'static,
    ) -> Self {
        Self { name, purpose, find: Box::new(find), install: Box::new(install) }
    }

    /// Creates a requirement for the program `name`, which the Debian packages `packages` contain.
    pub(super) fn program(name: &'static str, packages: &'static [&'static str], purpose: &'static str) -> Self {
        let find = move || {
            let file = command::find_program(name).with_context(|| format!("no program {name} in PATH"))?;
            Ok(file.display().to_string())
        };
        Self::new(name, purpose, find, |apt| apt.install(packages))
    }

    /// Returns the name in the printed list.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Finds the software, and installs it only if it is not found.
    pub(super) fn meet(&self, apt: &mut Apt) -> Outcome {
        let absent = match (self.find)() {
            Ok(found) => return Outcome::Found(found),
            Err(absent) => absent,
        };
        super::print(self.name, format_args!("needed to {} ({absent:#}); installing", self.purpose));
        match (self.install)(apt).and_then(|()| (self.find)()) {
            Ok(found) => Outcome::Installed(found),
            Err(why) => Outcome::Missing(format!("{why:#}")),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(description) => write!(f, "found: {description}"),
            Self::Installed(description) => write!(f, "installed: {description}"),
            Self::Missing(remedy) => write!(f, "MISSING: {remedy}"),
        }
    }
}
