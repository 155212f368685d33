//! The files of a machine: an archive that the kernel unpacks into memory (`Documentation/driver-api/early-userspace`).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use filter_lab::guest::plan::{BINARY, FIXTURES, MODULES, PLAN, Plan};

use super::binaries::{Binaries, with_libraries};
use crate::workspace;

/// What the laboratory runs.
const TOOLS: [&str; 2] = ["ip", "ethtool"];

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Writes the archive.
pub(super) fn write(path: &Path, binaries: &Binaries, modules: &[(String, Vec<u8>)], plan: &Plan) -> Result<()> {
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut archive = Archive { out: BufWriter::new(file), entries: 0, folders: BTreeSet::new() };
    // Without it the first process has no output.
    archive.folder(Path::new("/dev"))?;
    archive.entry(Path::new("/dev/console"), CHARACTER_DEVICE, (5, 1), &[])?;
    for (name, binary) in [("/init", &binaries.guest), (BINARY, &binaries.sip_filter), (FIXTURES, &binaries.fixtures)] {
        archive.copy(Path::new(name), binary)?;
    }
    let mut tools = binaries.libraries.clone();
    for tool in TOOLS {
        tools.extend(with_libraries(tool)?);
    }
    for tool in &tools {
        archive.copy(tool, tool)?;
    }
    // Where the fixtures were built to look for it.
    let corpus = workspace::root().join("tests/corpus");
    for message in fs::read_dir(&corpus).with_context(|| format!("read {}", corpus.display()))? {
        let message = message?.path();
        archive.copy(&message, &message)?;
    }
    archive.folder(Path::new(MODULES))?;
    for (place, (name, module)) in modules.iter().enumerate() {
        archive.file(Path::new(&format!("{MODULES}/{place:02}-{name}.ko")), module)?;
    }
    archive.file(Path::new(PLAN), &serde_json::to_vec(plan).context("write the plan as JSON")?)?;
    archive.end().with_context(|| format!("write {}", path.display()))
}

/// An archive in the format `newc` of cpio, which is the kernel's.
struct Archive<W> {
    out: W,
    entries: u32,
    folders: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    fn copy(&mut self, path: &Path, from: &Path) -> Result<()> {
        self.file(path, &fs::read(from).with_context(|| format!("read {}", from.display()))?)
    }

    fn file(&mut self, path: &Path, content: &[u8]) -> Result<()> {
        if let Some(folder) = path.parent() {
            self.folder(folder)?;
        }
        self.entry(path, PROGRAM, (0, 0), content)
    }

    /// A folder and those that it is in, each once.
    fn folder(&mut self, path: &Path) -> Result<()> {
        let mut folder = PathBuf::new();
        for component in path.components().filter(|component| *component != Component::RootDir) {
            folder.push(component);
            if self.folders.insert(folder.clone()) {
                self.entry(&folder.clone(), FOLDER, (0, 0), &[])?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, mode: u32, (major, minor): (u32, u32), content: &[u8]) -> Result<()> {
        let name = path.to_str().context("a name that is not UTF-8")?.trim_start_matches('/');
        self.write(name, mode, (major, minor), content).with_context(|| format!("add {name}"))
    }

    fn write(&mut self, name: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        // Inode, mode, uid, gid, links, time, length, device of the file system (2), device (2), length of the name, sum.
        let fields = [self.entries, mode, 0, 0, 1, 0, length, 0, 0, major, minor, name.len() as u32 + 1, 0];
        let mut header = String::from("070701");
        for field in fields {
            header += &format!("{field:08x}");
        }
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(header.len() + name.len() + 1)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    /// Zeros up to a multiple of four octets.
    fn pad(&mut self, length: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..length.next_multiple_of(4) - length])
    }

    fn end(mut self) -> io::Result<()> {
        self.write("TRAILER!!!", 0, (0, 0), &[])?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::Archive;

    #[test]
    fn entries_are_padded_and_folders_come_once_before_their_files() -> anyhow::Result<()> {
        let mut out = Vec::new();
        let mut archive = Archive { out: &mut out, entries: 0, folders: BTreeSet::new() };
        archive.file(Path::new("/a/b/one"), b"12345")?;
        archive.file(Path::new("/a/b/two"), b"")?;
        archive.end()?;
        assert_eq!(out.len() % 4, 0);
        let text = String::from_utf8(out)?;
        assert_eq!(text.matches("070701").count(), 5, "two folders, two files, the end");
        assert!(text.find("a/b\0") < text.find("a/b/one\0"));
        Ok(())
    }
}
