//! The Rust toolchain that builds the XDP program, and its clippy.

use anyhow::{Context as _, Error, Result, anyhow, bail};

use super::debian::Apt;
use super::requirement::Requirement;
use super::rustup;
use crate::command;
use crate::ebpf::{MINIMUM, Toolchain, Version};

/// Debian's Rust. A release has one or both; `rustc-web` is kept recent in stable releases because browsers need it.
const DEBIAN: [Packages; 2] = [
    Packages { compiler: "rustc", others: &["cargo", "rust-src"], clippy: "rust-clippy" },
    Packages { compiler: "rustc-web", others: &["cargo-web", "rust-web-src"], clippy: "rust-web-clippy" },
];

/// The Debian packages of one compiler.
struct Packages {
    compiler: &'static str,
    others: &'static [&'static str],
    clippy: &'static str,
}

/// Returns the requirement for a toolchain that can build `core` for BPF.
pub(super) fn compiler() -> Requirement {
    let find = || toolchain().map(|toolchain| toolchain.to_string());
    Requirement::new("Rust for BPF", "build the XDP program", find, install_compiler)
}

/// Returns the requirement for the clippy of that toolchain. No other version's clippy can read its `core`.
pub(super) fn clippy() -> Requirement {
    let find = || {
        let toolchain = toolchain()?;
        let mut clippy = toolchain.clippy().ok_or_else(|| anyhow!("{} has no clippy", toolchain.name))?;
        command::stdout(clippy.arg("--version")).map(|version| version.trim().to_owned())
    };
    Requirement::new("clippy for BPF", "check the XDP program", find, install_clippy)
}

/// Returns the toolchain that builds the XDP program.
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
    for Packages { compiler, others, clippy } in DEBIAN {
        let candidate = apt.candidate(compiler)?;
        if candidate.is_some() && candidate >= Version::parse(MINIMUM) {
            return apt.install(&[&[compiler], others, &[clippy]].concat());
        }
    }
    bail!("neither rustc nor rustc-web is available in version {MINIMUM} or later")
}

fn install_clippy(apt: &mut Apt) -> Result<()> {
    let toolchain = toolchain()?;
    if let Some(name) = &toolchain.rustup_name {
        return rustup::add_component(Some(name), "clippy");
    }
    // Each clippy conflicts with the other compiler. With --no-remove, apt-get installs only the one that fits.
    let [plain, web] = DEBIAN.map(|packages| packages.clippy);
    apt.install(&[web])
        .or_else(|_| apt.install(&[plain]))
        .with_context(|| format!("install {web} or {plain}, whichever fits the compiler"))
}
