//! The database file: its creation and its identity.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use super::error::Error;

/// The identity of a file and of its contents.
///
/// It is taken from the metadata, without opening the file: closing it again would drop SQLite's locks, because POSIX
/// locks belong to the process and not to the descriptor (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: Option<SystemTime>,
}

impl FileId {
    /// Reads the identity of the file at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        match fs::metadata(path) {
            Ok(meta) => {
                Ok(Self { device: meta.dev(), inode: meta.ino(), size: meta.size(), modified: meta.modified().ok() })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NoFile { path: path.into() }),
            Err(source) => Err(Error::File { doing: "read the metadata of", path: path.into(), source }),
        }
    }

    /// Fails if the file at `path` is no longer this one. Its contents may differ.
    pub(super) fn ensure_same(&self, path: &Path) -> Result<(), Error> {
        let now = Self::read(path)?;
        replaced_unless((now.device, now.inode) == (self.device, self.inode), path)
    }

    /// Fails if the file at `path` is no longer this one, or was written to.
    pub(super) fn ensure_unmodified(&self, path: &Path) -> Result<(), Error> {
        replaced_unless(Self::read(path)? == *self, path)
    }
}

fn replaced_unless(is_same: bool, path: &Path) -> Result<(), Error> {
    if is_same { Ok(()) } else { Err(Error::Replaced { path: path.into() }) }
}

/// Creates an empty file, and its directory, if the file does not exist. Returns whether it created the file.
///
/// Others may not read it (mode 0640), because it holds the cluster's secret key. SQLite gives its `-wal` and `-shm`
/// files the same mode.
pub(super) fn create(path: &Path) -> Result<bool, Error> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o750).create(parent).map_err(|source| Error::File {
            doing: "create the directory",
            path: parent.into(),
            source,
        })?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(Error::File { doing: "create", path: path.into(), source }),
    }
}
