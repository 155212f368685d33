//! Finds a Rust toolchain that can build `core` for the BPF target.
//!
//! BPF is a tier 3 target, for which no toolchain contains a compiled `core`. A toolchain must have the source of
//! `core` (rust-src) and accept `-Z build-std`. A nightly accepts it, and so does any other compiler with
//! `RUSTC_BOOTSTRAP=1`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::environment;

/// The oldest compiler that builds this workspace: its `rust-version`.
pub(crate) const MINIMUM: &str = env!("CARGO_PKG_RUST_VERSION");

/// Sysroot of Debian's `rustc` and `rustc-web`, and of Fedora's `rustc`.
const SYSTEM_SYSROOT: &str = "/usr";

/// A toolchain that can build the XDP program.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// Name for messages: rustup's name, or "the system's Rust".
    pub(crate) name: String,
    /// rustup's name, for adding components; `None` if rustup did not install the toolchain.
    pub(crate) rustup_name: Option<String>,
    /// Folder of its compiler, its libraries and their source.
    pub(crate) sysroot: PathBuf,
    /// Version of the compiler.
    pub(crate) version: Version,
    /// Major version of the compiler's LLVM, whose bitcode bpf-linker must read.
    pub(crate) llvm: u32,
}

impl Toolchain {
    /// Returns the first suitable toolchain: of rustup's nightlies, then the system's Rust, then rustup's others.
    pub(crate) fn find() -> Result<Self, String> {
        let mut unfit = Vec::new();
        for candidate in candidates() {
            let name = candidate.name.clone();
            match candidate.check() {
                Ok(toolchain) => return Ok(toolchain),
                Err(why) => unfit.push(format!("{name}: {why}")),
            }
        }
        Err(format!(
            "found no Rust {MINIMUM} or later with rust-src, which building the XDP program requires{}",
            if unfit.is_empty() { String::new() } else { format!(" ({})", unfit.join("; ")) }
        ))
    }

    /// Returns a command for this toolchain's cargo, without the environment of an outer cargo.
    pub(crate) fn cargo(&self) -> Command {
        self.command("cargo")
    }

    /// Returns a command for this toolchain's compiler, without the environment of an outer cargo.
    pub(crate) fn rustc(&self) -> Command {
        self.command("rustc")
    }

    /// Returns a command for this toolchain's `cargo clippy`, if it has one.
    pub(crate) fn clippy(&self) -> Option<Command> {
        // `cargo clippy` would run the cargo-clippy in ~/.cargo/bin, which may belong to another toolchain.
        self.program("cargo-clippy").exists().then(|| {
            let mut command = self.command("cargo-clippy");
            command.arg("clippy");
            command
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        environment::clean(&mut command);
        command
            .env("CARGO", self.program("cargo"))
            .env("RUSTC", self.program("rustc"))
            // Makes a stable compiler accept -Z. A nightly ignores it.
            .env("RUSTC_BOOTSTRAP", "1");
        command
    }

    fn program(&self, name: &str) -> PathBuf {
        self.sysroot.join("bin").join(name)
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (Rust {}, LLVM {})", self.name, self.version, self.llvm)
    }
}

/// A toolchain that has not been checked yet.
struct Candidate {
    name: String,
    rustup_name: Option<String>,
    sysroot: PathBuf,
}

impl Candidate {
    /// Checks that the toolchain is recent enough and complete.
    fn check(self) -> Result<Toolchain, String> {
        let rustc = self.sysroot.join("bin/rustc");
        let described = stdout_if_successful(Command::new(&rustc).arg("-vV")).ok_or("its rustc does not run")?;
        let version = field(&described, "release: ").and_then(Version::parse).ok_or("`rustc -vV` prints no release")?;
        let llvm = field(&described, "LLVM version: ")
            .and_then(Version::parse)
            .ok_or("`rustc -vV` prints no LLVM version")?
            .major;
        if Version::parse(MINIMUM).is_some_and(|minimum| version < minimum) {
            return Err(format!("{version} is too old"));
        }
        if !self.sysroot.join("lib/rustlib/src/rust/library/core").exists() {
            return Err("lacks rust-src".into());
        }
        if !self.sysroot.join("bin/cargo").exists() {
            return Err("lacks cargo".into());
        }
        Ok(Toolchain { name: self.name, rustup_name: self.rustup_name, sysroot: self.sysroot, version, llvm })
    }
}

/// Returns all toolchains of this host, in order of preference.
fn candidates() -> Vec<Candidate> {
    let (nightlies, others): (Vec<_>, Vec<_>) =
        rustup_toolchains().into_iter().partition(|candidate| candidate.name.starts_with("nightly"));
    let system = Path::new(SYSTEM_SYSROOT).join("bin/rustc").exists().then(|| Candidate {
        name: "the system's Rust".into(),
        rustup_name: None,
        sysroot: SYSTEM_SYSROOT.into(),
    });
    nightlies.into_iter().chain(system).chain(others).collect()
}

fn rustup_toolchains() -> Vec<Candidate> {
    let listed = stdout_if_successful(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter_map(|name| {
            // rustup knows the folder: `rustup toolchain link` accepts toolchains anywhere.
            let mut rustc = Command::new("rustup");
            let sysroot = stdout_if_successful(rustc.args(["run", name, "rustc", "--print", "sysroot"]))?;
            Some(Candidate { name: name.into(), rustup_name: Some(name.into()), sysroot: sysroot.trim().into() })
        })
        .collect()
}

/// Runs `command` without the environment of an outer cargo. Returns its standard output, or `None` if it fails.
fn stdout_if_successful(command: &mut Command) -> Option<String> {
    environment::clean(command);
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

/// The first two numbers of a version. The others make no difference here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Version {
    /// Parses `1.95`, `1.97.0-nightly`, Debian's `1.96.0+dfsg1-1~deb12u2` and similar versions.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some(Self { major: next()?, minor: next()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_of_rustc_llvm_and_debian_packages_are_parsed() {
        for (text, major, minor) in
            [("1.95", 1, 95), ("1.97.0-nightly", 1, 97), ("1.96.0+dfsg1-1~deb12u2", 1, 96), ("22.1.8", 22, 1)]
        {
            assert_eq!(Version::parse(text), Some(Version { major, minor }), "{text}");
        }
        assert_eq!(Version::parse("(none)"), None);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(Version::parse("1.100.0") > Version::parse("1.95"));
        assert!(Version::parse("2.0") > Version::parse("1.95"));
    }
}
