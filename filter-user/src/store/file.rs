//! The database file itself: how it is made, and how it is told from another one of the same name.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use super::Error;

/// What changes when a file is replaced, or written to other than by our own connection.
///
/// It is only looked at from outside: to open and close the file would drop SQLite's locks on it, for POSIX locks
/// belong to the process and not to the descriptor (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        match fs::metadata(path) {
            Ok(meta) => {
                Ok(Self { device: meta.dev(), inode: meta.ino(), size: meta.size(), modified: meta.modified().ok() })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NoFile { path: path.into() }),
            Err(source) => Err(Error::File { doing: "look at", path: path.into(), source }),
        }
    }
}

/// Fails if `path` is not the file of `stamp` any more; it may have been written to.
pub(super) fn same(path: &Path, stamp: &Stamp) -> Result<(), Error> {
    let now = Stamp::of(path)?;
    let same = (now.device, now.inode) == (stamp.device, stamp.inode);
    if same { Ok(()) } else { Err(Error::Replaced { path: path.into() }) }
}

/// Makes an empty file, and the directory above it, if there is none. Returns whether it did.
///
/// Others may not read it (0640): it holds the cluster's secret key. SQLite gives its `-wal` and `-shm` the same mode.
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
