//! Kernels and QEMU, as Debian has packaged them: fetched into a cache, unpacked there, and installed nowhere.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};

use super::matrix::Version;
use crate::command;

/// The releases of Debian that have them: the kernel before our oldest, 6.1, and those after it with QEMU.
const SUITES: [(&str, Mirror); 5] = [
    ("bullseye-security", Mirror::Security),
    ("bookworm", Mirror::Main),
    ("bookworm-security", Mirror::Security),
    ("trixie", Mirror::Main),
    ("trixie-backports", Mirror::Main),
];
/// What signs them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// For how long the package lists are taken for new.
const FRESH: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mirror {
    Main,
    Security,
}

/// The cache, with an apt of its own in it.
pub(super) struct Packages {
    folder: PathBuf,
}

/// A kernel, unpacked.
pub(super) struct Kernel {
    /// Its first two numbers.
    pub(super) version: Version,
    /// As `uname -r` prints it, or nearly so.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// The folder with its modules.
    pub(super) modules: PathBuf,
}

impl Packages {
    /// Opens the cache, with package lists that are not older than a day.
    pub(super) fn open() -> Result<Self> {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
        let folder = cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("sip-filter/kernels");
        let this = Self { folder };
        for folder in ["apt/lists/partial", "apt/archives/partial"] {
            let folder = this.folder.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let updated = this.folder.join("apt/updated");
        let age = fs::metadata(&updated).and_then(|file| file.modified()).ok();
        if age.and_then(|age| SystemTime::now().duration_since(age).ok()).is_none_or(|age| age > FRESH) {
            fs::write(this.folder.join("apt/status"), "").context("write an empty package status")?;
            fs::write(this.sources(), sources()?).context("write the sources of packages")?;
            command::stdout(this.apt("apt-get").args(["update", "--quiet=2", "--error-on=any"]))
                .context("fetch Debian's package lists")?;
            fs::write(&updated, "").context("note the update")?;
        }
        Ok(this)
    }

    /// The cache.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The newest kernel of this version that there is, or the newest of all.
    pub(super) fn kernel(&self, asked: &str) -> Result<Kernel> {
        let names = command::stdout(self.apt("apt-cache").args(["pkgnames", "linux-"]))?;
        let version = if asked == "newest" { None } else { Some(asked.parse::<Version>()?) };
        let release = names
            .lines()
            .filter_map(release)
            .filter(|release| version.is_none_or(|version| version == Version::of_release(release)))
            .max_by_key(|release| numbers(release));
        let release = release.with_context(|| {
            let suites = SUITES.map(|(suite, _)| suite).join(", ");
            format!("there is no kernel {asked} in Debian's {suites}")
        })?;
        let folder = self.folder.join(format!("kernel-{release}"));
        let has = |name: &str| names.lines().any(|line| line == name);
        // The image of newer packages is empty, and depends on what it is made of.
        let parts = if has(&format!("linux-binary-{release}-amd64")) {
            ["binary", "modules", "base"].as_slice()
        } else {
            &["image"]
        };
        let parts: Vec<String> = parts.iter().map(|part| format!("linux-{part}-{release}-amd64")).collect();
        self.unpacked(&folder, |archives| {
            command::stdout(self.apt("apt-get").current_dir(archives).args(["download", "--quiet=2"]).args(&parts))
                .map(drop)
        })?;
        let (image, modules) = parts_of(&folder).with_context(|| format!("the kernel in {}", folder.display()))?;
        Ok(Kernel { version: Version::of_release(release), release: release.to_owned(), image, modules })
    }

    /// The folder with QEMU and all libraries that it needs, of one Debian release whatever the host's is.
    pub(super) fn qemu(&self) -> Result<PathBuf> {
        let folder = self.folder.join("qemu");
        self.unpacked(&folder, |archives| {
            let mut apt = self.apt("apt-get");
            apt.arg("-o").arg(format!("Dir::Cache::archives={}", archives.display()));
            apt.args(["install", "--download-only", "--yes", "--quiet=2", "--no-install-recommends"]);
            // 10.0 and later emulate igb.
            command::stdout(apt.arg("qemu-system-x86/trixie")).map(drop)
        })?;
        Ok(folder)
    }

    /// Fetches packages and unpacks them into `folder`, if that is not there yet.
    fn unpacked(&self, folder: &Path, fetch: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        println!("kernels: fetch {}", folder.display());
        let (archives, partial) = (folder.with_extension("debs"), folder.with_extension("partial"));
        for left_over in [&archives, &partial] {
            if left_over.exists() {
                fs::remove_dir_all(left_over).with_context(|| format!("remove {}", left_over.display()))?;
            }
        }
        fs::create_dir_all(archives.join("partial")).with_context(|| format!("make {}", archives.display()))?;
        fetch(&archives)?;
        let packages = files(&archives)?;
        ensure!(!packages.is_empty(), "apt-get fetched nothing into {}", archives.display());
        for package in packages.iter().filter(|file| file.extension() == Some(OsStr::new("deb"))) {
            command::stdout(Command::new("dpkg").arg("--extract").arg(package).arg(&partial))?;
        }
        fs::remove_dir_all(&archives).with_context(|| format!("remove {}", archives.display()))?;
        // Whole or not at all: what was interrupted is fetched again.
        fs::rename(&partial, folder).with_context(|| format!("rename {}", partial.display()))
    }

    /// apt-get or apt-cache, with nothing of the host's but its keys.
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
            // The cache is in a home folder, which the user _apt may not read.
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

/// Where this host gets Debian's packages from, for our own releases.
fn sources() -> Result<String> {
    let mut ask = Command::new("apt-get");
    ask.args(["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"]);
    let known = command::stdout(&mut ask)?;
    let mirror = |mirror: Mirror| {
        let label = if mirror == Mirror::Main { "Debian|Debian|" } else { "Debian|Debian-Security|" };
        known.lines().find_map(|line| line.strip_prefix(label)).with_context(|| {
            format!("apt knows no mirror of Debian ({label}): this takes a Debian host, after `apt-get update`")
        })
    };
    let mut text = String::new();
    for (suite, kind) in SUITES {
        text += &format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror(kind)?);
    }
    Ok(text)
}

/// `6.12.117+deb13` of `linux-image-6.12.117+deb13-amd64`; none of other packages, and of kernels for special ends.
fn release(package: &str) -> Option<&str> {
    let rest = package.strip_prefix("linux-image-").or_else(|| package.strip_prefix("linux-binary-"))?;
    let release = rest.strip_suffix("-amd64")?;
    // Metapackages have only the two numbers of a version, or none.
    let plain = release.starts_with(|first: char| first.is_ascii_digit()) && numbers(release).len() > 2;
    (plain && !release.contains("cloud") && !release.contains("-rt")).then_some(release)
}

/// The numbers in a text, by which releases are ordered.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// The image of a kernel and the folder with its modules: Debian has moved both.
fn parts_of(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    for lib in ["lib/modules", "usr/lib/modules"] {
        let Some(modules) = files(&folder.join(lib)).ok().and_then(|found| found.into_iter().next()) else { continue };
        let boot = files(&folder.join("boot")).unwrap_or_default();
        let old = boot.into_iter().find(|file| file.to_string_lossy().contains("/vmlinuz-"));
        let image = old.unwrap_or_else(|| modules.join("vmlinuz"));
        if image.is_file() {
            return Ok((image, modules));
        }
    }
    bail!("there is no image, or there are no modules")
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::{numbers, release};

    #[test]
    fn a_kernel_is_told_from_other_packages() {
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
    fn a_build_for_an_older_release_is_not_the_newest() {
        assert!(numbers("6.1.0-50") > numbers("6.1.0-0.deb11.52"));
        assert!(numbers("6.12.117+deb13") > numbers("6.12.95+deb12"));
    }
}
