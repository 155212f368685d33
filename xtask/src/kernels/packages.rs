//! Debian's packages of kernels and QEMU: downloaded into a cache and unpacked there, not installed.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};

use super::matrix::KernelVersion;
use crate::command;

/// Suites of Debian with the packages. bullseye-security has the kernel that is too old. The others have 6.1 and later,
/// and QEMU.
const SUITES: [(&str, Mirror); 5] = [
    ("bullseye-security", Mirror::Security),
    ("bookworm", Mirror::Main),
    ("bookworm-security", Mirror::Security),
    ("trixie", Mirror::Main),
    ("trixie-backports", Mirror::Main),
];
/// Keys with which the suites are signed.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Age up to which the package lists are used without an update.
const FRESH: Duration = Duration::from_hours(24);

/// A mirror of one of Debian's archives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mirror {
    Main,
    Security,
}

/// The cache, with a package manager state of its own, independent of the host's.
pub(super) struct Packages {
    folder: PathBuf,
}

/// An unpacked kernel.
pub(super) struct Kernel {
    /// Major and minor version.
    pub(super) version: KernelVersion,
    /// Release, as in the package's name: the output of `uname -r` without the suffix `-amd64`.
    pub(super) release: String,
    /// Path of the compressed image.
    pub(super) image: PathBuf,
    /// Folder of the modules.
    pub(super) modules: PathBuf,
}

impl Packages {
    /// Opens the cache, and updates package lists that are older than a day.
    pub(super) fn open() -> Result<Self> {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
        let folder = cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("sip-filter/kernels");
        let packages = Self { folder };
        for folder in ["apt/lists/partial", "apt/archives/partial"] {
            create_folder(&packages.folder.join(folder))?;
        }
        let updated = packages.folder.join("apt/updated");
        let time = fs::metadata(&updated).and_then(|file| file.modified()).ok();
        let age = time.and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_none_or(|age| age > FRESH) {
            packages.update()?;
            write(&updated, "")?;
        }
        Ok(packages)
    }

    /// Updates the package lists.
    fn update(&self) -> Result<()> {
        // The cache has no installed packages.
        write(&self.folder.join("apt/status"), "")?;
        write(&self.sources(), &sources()?)?;
        command::stdout(self.apt("apt-get").args(["update", "--quiet=2", "--error-on=any"]))
            .context("cannot download Debian's package lists")?;
        Ok(())
    }

    /// Returns the folder of the cache.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns Debian's latest kernel of the version `wanted`, or of all versions if that is `newest`.
    ///
    /// Downloads the kernel unless the cache contains it.
    pub(super) fn kernel(&self, wanted: &str) -> Result<Kernel> {
        let names = command::stdout(self.apt("apt-cache").args(["pkgnames", "linux-"]))?;
        let version = if wanted == "newest" { None } else { Some(wanted.parse::<KernelVersion>()?) };
        let release = names
            .lines()
            .filter_map(release)
            .filter(|release| version.is_none_or(|version| version == KernelVersion::from_release(release)))
            .max_by_key(|release| numbers(release));
        let release = release.with_context(|| {
            let suites = SUITES.map(|(suite, _)| suite).join(", ");
            format!("Debian's suites {suites} have no kernel {wanted}")
        })?;
        let folder = self.folder.join(format!("kernel-{release}"));
        // For newer kernels, the package `linux-image` is empty and depends on these three.
        let binary = format!("linux-binary-{release}-amd64");
        let parts: &[&str] =
            if names.lines().any(|name| name == binary) { &["binary", "modules", "base"] } else { &["image"] };
        let parts: Vec<String> = parts.iter().map(|part| format!("linux-{part}-{release}-amd64")).collect();
        unpack_once(&folder, |archives| {
            command::stdout(self.apt("apt-get").current_dir(archives).args(["download", "--quiet=2"]).args(&parts))
                .map(drop)
        })?;
        let (image, modules) = find_parts(&folder)?;
        Ok(Kernel { version: KernelVersion::from_release(release), release: release.to_owned(), image, modules })
    }

    /// Returns the folder with QEMU and its libraries, which are from one Debian release on all hosts.
    ///
    /// Downloads them unless the cache contains them.
    pub(super) fn qemu(&self) -> Result<PathBuf> {
        let folder = self.folder.join("qemu");
        unpack_once(&folder, |archives| {
            let mut apt = self.apt("apt-get");
            apt.arg("-o").arg(format!("Dir::Cache::archives={}", archives.display()));
            apt.args(["install", "--download-only", "--yes", "--quiet=2", "--no-install-recommends"]);
            // QEMU emulates igb since 10.0.
            command::stdout(apt.arg("qemu-system-x86/trixie")).map(drop)
        })?;
        Ok(folder)
    }

    /// Returns a command for apt-get or apt-cache that uses the cache, and of the host's state only the keys.
    fn apt(&self, program: &str) -> Command {
        let apt = self.folder.join("apt");
        let mut command = Command::new(program);
        for (key, value) in [
            ("Dir::Etc::sourcelist", self.sources().display().to_string()),
            ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
            ("Dir::State", apt.display().to_string()),
            ("Dir::State::lists", apt.join("lists").display().to_string()),
            ("Dir::State::status", apt.join("status").display().to_string()),
            ("Dir::Cache", apt.display().to_string()),
            ("Acquire::Languages", "none".to_owned()),
            ("Acquire::Retries", "3".to_owned()),
            // The user _apt cannot read the cache, which is in a home folder.
            ("APT::Sandbox::User", "root".to_owned()),
        ] {
            command.arg("-o").arg(format!("{key}={value}"));
        }
        command.env("LC_ALL", "C");
        command
    }

    fn sources(&self) -> PathBuf {
        self.folder.join("apt/sources.list")
    }
}

/// Unpacks packages into `folder`, unless it exists. `download` puts the packages into the folder in its argument.
fn unpack_once(folder: &Path, download: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    println!("kernels: downloading {}", folder.display());
    let (archives, partial) = (folder.with_extension("debs"), folder.with_extension("partial"));
    // Left over from a run that was interrupted.
    for left_over in [&archives, &partial] {
        if left_over.exists() {
            remove_folder(left_over)?;
        }
    }
    create_folder(&archives.join("partial"))?;
    download(&archives)?;
    let packages = files(&archives)?;
    ensure!(!packages.is_empty(), "apt-get downloaded nothing into {}", archives.display());
    for package in packages.iter().filter(|file| file.extension() == Some(OsStr::new("deb"))) {
        command::stdout(Command::new("dpkg").arg("--extract").arg(package).arg(&partial))?;
    }
    remove_folder(&archives)?;
    // `folder` exists only if it is complete. The next run repeats what was interrupted.
    fs::rename(&partial, folder).with_context(|| format!("cannot rename {}", partial.display()))
}

/// Returns the lines of `sources.list` for [`SUITES`], with the mirrors that this host uses.
fn sources() -> Result<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"]);
    let known = command::stdout(&mut targets)?;
    let mirror = |mirror: Mirror| {
        let label = if mirror == Mirror::Main { "Debian|Debian|" } else { "Debian|Debian-Security|" };
        known
            .lines()
            .find_map(|line| line.strip_prefix(label))
            .with_context(|| format!("apt knows no mirror of Debian ({label}): run `apt-get update` on a Debian host"))
    };
    let mut text = String::new();
    for (suite, kind) in SUITES {
        writeln!(text, "deb [signed-by={KEYRING}] {} {suite} main", mirror(kind)?)
            .context("cannot format the sources")?;
    }
    Ok(text)
}

/// Returns the release in the name of a kernel's package: `6.12.117+deb13` for `linux-image-6.12.117+deb13-amd64`.
///
/// Returns `None` for other packages and for special kernels (cloud, rt).
fn release(package: &str) -> Option<&str> {
    let rest = package.strip_prefix("linux-image-").or_else(|| package.strip_prefix("linux-binary-"))?;
    let release = rest.strip_suffix("-amd64")?;
    // The names of metapackages have at most two numbers.
    let plain = release.starts_with(|first: char| first.is_ascii_digit()) && numbers(release).len() > 2;
    (plain && !release.contains("cloud") && !release.contains("-rt")).then_some(release)
}

/// Returns the numbers in `text`, by which releases are ordered.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// Returns the image of the kernel in `folder`, and the folder of its modules.
///
/// Older packages have them in other places than newer ones.
fn find_parts(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    for lib in ["lib/modules", "usr/lib/modules"] {
        let Some(modules) = files(&folder.join(lib)).ok().and_then(|found| found.into_iter().next()) else { continue };
        let boot = files(&folder.join("boot")).unwrap_or_default();
        let old = boot.into_iter().find(|file| file.to_string_lossy().contains("/vmlinuz-"));
        let image = old.unwrap_or_else(|| modules.join("vmlinuz"));
        if image.is_file() {
            return Ok((image, modules));
        }
    }
    bail!("found no kernel image or no modules in {}", folder.display())
}

fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn remove_folder(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the paths of all files and folders in `folder`.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::{numbers, release};

    #[test]
    fn kernels_are_distinguished_from_other_packages() {
        assert_eq!(release("linux-image-6.12.117+deb13-amd64"), Some("6.12.117+deb13"));
        assert_eq!(release("linux-binary-7.3.4+deb13-amd64"), Some("7.3.4+deb13"));
        for other in [
            "linux-image-amd64",
            "linux-image-6.1-amd64",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.1.0-50-rt-amd64",
            "linux-image-6.1.0-50-amd64-unsigned",
            "linux-image-6.12.117+deb13-amd64-dbg",
        ] {
            assert_eq!(release(other), None, "{other}");
        }
    }

    #[test]
    fn a_backport_to_an_older_debian_is_not_the_newest() {
        assert!(numbers("6.1.0-50") > numbers("6.1.0-0.deb11.52"));
        assert!(numbers("6.12.117+deb13") > numbers("6.12.95+deb12"));
    }
}
