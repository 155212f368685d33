//! A disk without room for the SQLite database: the error says so, and nothing else happens.
#![cfg(test)]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use filter_lab::lab::Lab;
use filter_lab::wire::Family;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

/// A mounted file system, unmounted when this value is dropped.
struct SmallDisk {
    path: PathBuf,
    // The last field: the directory can be removed when nothing is mounted on it.
    _directory: TempDir,
}

impl SmallDisk {
    /// Mounts a file system of this size in KiB.
    fn new(size: u32) -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("disk");
        fs::create_dir(&path).expect("a mount point");
        let options = format!("size={size}k");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).expect("a tmpfs");
        Self { path, _directory: directory }
    }

    /// Fills the file system, and returns the file that does so.
    #[track_caller]
    fn fill(&self) -> PathBuf {
        let path = self.path.join("filler");
        let mut filler = File::create(&path).expect("a file");
        for block in [vec![0; 65536], vec![0; 4096]] {
            while filler.write_all(&block).is_ok() {}
        }
        assert!(filler.metadata().expect("a size").len() > 0, "the disk was full before");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that still has a file open there keeps the file system, but not the mount point.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

fn url(path: &Path) -> String {
    format!("sqlite://{}/sip-filter.db", path.display())
}

#[test]
fn switch_on_a_full_disk_fails_with_the_reason_and_succeeds_once_there_is_room() {
    let disk = SmallDisk::new(1024);
    let lab = Lab::new().with_database(url(&disk.path));
    let mut daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    let filler = disk.fill();

    // The write-ahead log has some room left: one switch after the other, until it has none.
    let why = "x".repeat(1000);
    let mut switches = (0..2000).flat_map(|_| [vec!["off", "--why", &why], vec!["on"]]);
    let failed = switches.find_map(|switch| Some(lab.filter.output(&switch)).filter(|output| output.code != Some(0)));
    let output = failed.expect("a switch that fails");
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stderr.contains("disk is full"), "{output:#?}");
    assert!(daemon.is_running());
    lab.filter.status();

    fs::remove_file(filler).unwrap();
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);
    lab.filter.run(&["off"]);
    lab.expect_call_accepted(&caller);
}
