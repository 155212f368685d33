//! The Rust that builds the XDP program, and its clippy.

use anyhow::{Context as _, Error, Result, anyhow, bail};

use super::debian::Apt;
use super::requirement::Requirement;
use super::rustup;
use crate::command;
use crate::ebpf::{MINIMUM, Toolchain, Version};

/// A Debian release has one or both of these; the second is kept new for the sake of browsers.
const DEBIAN: [Packages; 2] = [
    Packages { compiler: "rustc", others: &["cargo", "rust-src", "rust-clippy"] },
    Packages { compiler: "rustc-web", others: &["cargo-web", "rust-web-src", "rust-web-clippy"] },
];

struct Packages {
    compiler: &'static str,
    others: &'static [&'static str],
}

/// A compiler with the source of `core`.
pub(super) fn compiler() -> Requirement {
    let find = || toolchain().map(|toolchain| toolchain.to_string());
    Requirement::new("Rust for BPF", "builds the XDP program", find, install_compiler)
}

/// The clippy of that same compiler: another version's could not read its `core`.
pub(super) fn clippy() -> Requirement {
    let find = || {
        let toolchain = toolchain()?;
        let mut clippy = toolchain.clippy().ok_or_else(|| anyhow!("{} has no clippy", toolchain.name))?;
        command::output(clippy.arg("--version")).map(|version| version.trim().to_owned())
    };
    Requirement::new("clippy for BPF", "checks the XDP program", find, install_clippy)
}

pub(super) fn toolchain() -> Result<Toolchain> {
    Toolchain::find().map_err(Error::msg)
}

fn install_compiler(apt: &mut Apt) -> Result<()> {
    let Err(debian) = install_from_debian(apt) else { return Ok(()) };
    rustup::install_nightly().with_context(|| {
        format!(
            "run `rustup toolchain install nightly --component rust-src,clippy`, or install Debian's rustc, cargo \
             and rust-src {MINIMUM} or later (Debian: {debian:#})"
        )
    })
}

fn install_from_debian(apt: &mut Apt) -> Result<()> {
    for Packages { compiler, others } in DEBIAN {
        let candidate = apt.candidate(compiler)?;
        if candidate.is_some() && candidate >= Version::parse(MINIMUM) {
            return apt.install(&[&[compiler], others].concat());
        }
    }
    bail!("neither rustc nor rustc-web is there in version {MINIMUM} or later")
}

fn install_clippy(apt: &mut Apt) -> Result<()> {
    let toolchain = toolchain()?;
    if let Some(name) = &toolchain.rustup_name {
        return rustup::add_component(Some(name), "clippy");
    }
    // Each conflicts with the other family's compiler, so --no-remove lets only the fitting one through.
    let [plain, web] = DEBIAN.map(|packages| packages.others[packages.others.len() - 1]);
    apt.install(&[web])
        .or_else(|_| apt.install(&[plain]))
        .with_context(|| format!("install {web} or {plain}, whichever fits the compiler"))
}
