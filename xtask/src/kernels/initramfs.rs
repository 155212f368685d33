//! The initramfs of a machine: an archive that the kernel unpacks into memory
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use filter_lab::guest::plan::{BINARY, FIXTURES, MODULES, PLAN, Plan};

use super::binaries::{Binaries, with_libraries};
use crate::workspace;

/// Tools of the host that the laboratory runs in the guest.
const TOOLS: [&str; 4] = ["ip", "bridge", "ethtool", "teamnl"];

// File types and permissions, as in `st_mode`.
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Writes the archive with the programs, tools, messages and modules that `plan` needs.
pub(super) fn write(path: &Path, binaries: &Binaries, modules: &[(String, Vec<u8>)], plan: &Plan) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(path)?));
    // Without a console, the first process has no output.
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
    // The path at which the fixtures were built to read the corpus.
    let corpus = workspace::root().join("tests/corpus");
    for message in fs::read_dir(&corpus).with_context(|| format!("cannot read {}", corpus.display()))? {
        let message = message?.path();
        archive.copy(&message, &message)?;
    }
    archive.folder(Path::new(MODULES))?;
    for (index, (name, module)) in modules.iter().enumerate() {
        archive.file(Path::new(&format!("{MODULES}/{index:02}-{name}.ko")), module)?;
    }
    archive.file(Path::new(PLAN), &serde_json::to_vec(plan).context("cannot write the plan as JSON")?)?;
    Ok(archive.finish()?)
}

/// A cpio archive in the format `newc`, which the kernel unpacks.
struct Archive<W> {
    out: W,
    /// Number of entries so far, from which inode numbers are assigned.
    entries: u32,
    /// Folders that the archive contains already.
    folders: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    /// Creates an archive that is written to `out`.
    fn new(out: W) -> Self {
        Self { out, entries: 0, folders: BTreeSet::new() }
    }

    /// Adds the file `from` of the host at `path`.
    fn copy(&mut self, path: &Path, from: &Path) -> Result<()> {
        self.file(path, &fs::read(from).with_context(|| format!("cannot read {}", from.display()))?)
    }

    /// Adds an executable file with `content`, after the folders that it is in.
    fn file(&mut self, path: &Path, content: &[u8]) -> Result<()> {
        if let Some(folder) = path.parent() {
            self.folder(folder)?;
        }
        self.entry(path, PROGRAM, (0, 0), content)
    }

    /// Adds a folder, after the folders that it is in, unless the archive contains them already.
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
        let name = path.to_str().with_context(|| format!("{} is not valid UTF-8", path.display()))?;
        self.write(name.trim_start_matches('/'), mode, (major, minor), content)
            .with_context(|| format!("cannot add {name}"))
    }

    fn write(&mut self, name: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        // With the zero that terminates the name.
        let name_length = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        // Inode, mode, uid, gid, links, time, length, device of the file system (major, minor), device (major, minor),
        // length of the name, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, length, 0, 0, major, minor, name_length, 0];
        let mut header = b"070701".to_vec();
        for field in fields {
            write!(header, "{field:08x}")?;
        }
        header.extend(name.bytes().chain([0]));
        self.out.write_all(&header)?;
        self.pad(header.len())?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    /// Writes zeros after `length` bytes, up to a multiple of four bytes.
    fn pad(&mut self, length: usize) -> io::Result<()> {
        (length..length.next_multiple_of(4)).try_for_each(|_| self.out.write_all(&[0]))
    }

    /// Writes the entry that ends the archive.
    fn finish(mut self) -> io::Result<()> {
        self.write("TRAILER!!!", 0, (0, 0), &[])?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Archive;

    #[test]
    fn entries_are_padded_and_each_folder_is_added_once_before_its_files() {
        let mut out = Vec::new();
        let mut archive = Archive::new(&mut out);
        archive.file(Path::new("/a/b/one"), b"12345").expect("a vector accepts all bytes");
        archive.file(Path::new("/a/b/two"), b"").expect("a vector accepts all bytes");
        archive.finish().expect("a vector accepts all bytes");
        assert_eq!(out.len() % 4, 0);
        let text = String::from_utf8(out).expect("an archive of text is text");
        assert_eq!(text.matches("070701").count(), 5, "two folders, two files, the end");
        assert!(text.find("a/b\0") < text.find("a/b/one\0"));
    }
}
