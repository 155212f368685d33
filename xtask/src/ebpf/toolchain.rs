//! Finds a Rust toolchain that can build `core` for the kernel's target.
//!
//! BPF is a tier 3 target: nobody ships its `core`, so a toolchain must have the library's source, and must
//! accept `-Z build-std`. A nightly accepts it by itself, any other compiler with `RUSTC_BOOTSTRAP=1`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::environment;

/// The oldest compiler that builds this workspace, as its `rust-version` says.
pub(crate) const MINIMUM: &str = env!("CARGO_PKG_RUST_VERSION");

/// Where Debian's `rustc` and `rustc-web`, and Fedora's `rustc`, have their sysroot.
const SYSTEM_SYSROOT: &str = "/usr";

/// A toolchain that can build the XDP program.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// What a person calls it: rustup's name for it, or "the system's Rust".
    pub(crate) name: String,
    /// rustup's name, if it is one of rustup's, for adding components.
    pub(crate) rustup_name: Option<String>,
    /// Where its compiler, its libraries and their source are.
    pub(crate) sysroot: PathBuf,
    /// The compiler's version.
    pub(crate) version: Version,
    /// The major version of the LLVM that wrote its bitcode; bpf-linker must read that.
    pub(crate) llvm: u32,
}

impl Toolchain {
    /// The first that will do: rustup's nightlies, then the system's own, then what else rustup has.
    pub(crate) fn find() -> Result<Self, String> {
        let mut unfit = Vec::new();
        for candidate in candidates() {
            match candidate.check() {
                Ok(toolchain) => return Ok(toolchain),
                Err(why) => unfit.push(format!("{}: {why}", candidate.name)),
            }
        }
        Err(format!(
            "no Rust {MINIMUM} or later with the source of its library, which the XDP program is built with{}",
            if unfit.is_empty() { String::new() } else { format!("; seen: {}", unfit.join("; ")) }
        ))
    }

    /// This toolchain's cargo, in an environment that no outer cargo has touched.
    pub(crate) fn cargo(&self) -> Command {
        self.command("cargo")
    }

    /// This toolchain's compiler, in the same clean environment.
    pub(crate) fn rustc(&self) -> Command {
        self.command("rustc")
    }

    /// This toolchain's `cargo clippy`, if it has one.
    pub(crate) fn clippy(&self) -> Option<Command> {
        // Not `cargo clippy`: that takes the first cargo-clippy in ~/.cargo/bin, which is another toolchain's.
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
            // Lets a stable compiler take -Z; a nightly does not mind.
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

/// A toolchain that may or may not do.
struct Candidate {
    name: String,
    rustup_name: Option<String>,
    sysroot: PathBuf,
}

impl Candidate {
    fn check(&self) -> Result<Toolchain, String> {
        let rustc = self.sysroot.join("bin/rustc");
        let described = output(Command::new(&rustc).arg("-vV")).ok_or("its rustc does not run")?;
        let version = field(&described, "release: ").and_then(Version::parse).ok_or("its rustc tells no version")?;
        let llvm = field(&described, "LLVM version: ").and_then(Version::parse).ok_or("its rustc tells no LLVM")?.major;
        if Version::parse(MINIMUM).is_some_and(|minimum| version < minimum) {
            return Err(format!("{version} is too old"));
        }
        if !self.sysroot.join("lib/rustlib/src/rust/library/core").exists() {
            return Err("lacks rust-src".into());
        }
        if !self.sysroot.join("bin/cargo").exists() {
            return Err("lacks cargo".into());
        }
        Ok(Toolchain {
            name: self.name.clone(),
            rustup_name: self.rustup_name.clone(),
            sysroot: self.sysroot.clone(),
            version,
            llvm,
        })
    }
}

fn candidates() -> Vec<Candidate> {
    let (nightlies, others): (Vec<_>, Vec<_>) =
        of_rustup().into_iter().partition(|candidate| candidate.name.starts_with("nightly"));
    let system = Path::new(SYSTEM_SYSROOT).join("bin/rustc").exists().then(|| Candidate {
        name: "the system's Rust".into(),
        rustup_name: None,
        sysroot: SYSTEM_SYSROOT.into(),
    });
    nightlies.into_iter().chain(system).chain(others).collect()
}

fn of_rustup() -> Vec<Candidate> {
    let listed = output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter_map(|name| {
            // Asked for by name, since a toolchain that a person has linked lies anywhere.
            let sysroot = output(Command::new("rustup").args(["run", name, "rustc", "--print", "sysroot"]))?;
            Some(Candidate { name: name.into(), rustup_name: Some(name.into()), sysroot: sysroot.trim().into() })
        })
        .collect()
}

/// What a command prints, if it runs and succeeds.
fn output(command: &mut Command) -> Option<String> {
    environment::clean(command);
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

/// The first two numbers of a version; the rest never decides anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Version {
    /// Reads `1.95`, `1.97.0-nightly`, Debian's `1.96.0+dfsg1-1~deb12u2` and the like.
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
    fn versions_are_read_as_rustc_llvm_and_debian_write_them() {
        for (text, major, minor) in
            [("1.95", 1, 95), ("1.97.0-nightly", 1, 97), ("1.96.0+dfsg1-1~deb12u2", 1, 96), ("22.1.8", 22, 1)]
        {
            assert_eq!(Version::parse(text), Some(Version { major, minor }), "{text}");
        }
        assert_eq!(Version::parse("(none)"), None);
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(Version::parse("1.100.0") > Version::parse("1.95"));
        assert!(Version::parse("2.0") > Version::parse("1.95"));
    }
}
