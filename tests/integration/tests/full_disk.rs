//! A disk without room for the SQLite database: said clearly, and nothing else happens.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use filter_lab::lab::Lab;
use filter_lab::wire::Family;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A file system of its own of so many kibibytes; gone with this value.
struct SmallDisk {
    path: PathBuf,
    // Last: the directory can be removed when nothing is mounted on it.
    _directory: tempfile::TempDir,
}

impl SmallDisk {
    fn new(kibibytes: u32) -> Result<Self> {
        let directory = tempfile::tempdir().context("a directory")?;
        let path = directory.path().join("disk");
        fs::create_dir(&path)?;
        let options = format!("size={kibibytes}k");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .context("mount a tmpfs")?;
        Ok(Self { path, _directory: directory })
    }

    /// Fills what is left, and returns the file that does it.
    fn fill(&self) -> Result<PathBuf> {
        let filler = self.path.join("filler");
        let mut size = 0;
        for block in [vec![0; 65536], vec![0; 4096]] {
            while fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&filler)
                .is_ok_and(|mut file| std::io::Write::write_all(&mut file, &block).is_ok())
            {
                size += block.len();
            }
        }
        anyhow::ensure!(size > 0, "there was no room to begin with");
        Ok(filler)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still has a file open there keeps the file system, and not its name.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

fn url(path: &Path) -> String {
    format!("sqlite://{}/sip-filter.db", path.display())
}

#[test]
fn a_full_disk_is_said_and_mended_by_room() -> Result<()> {
    let disk = SmallDisk::new(1024)?;
    let lab = Lab::new()?.on_database(url(&disk.path))?;
    let mut daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    let filler = disk.fill()?;

    // The log has some room left: one `off` after the other, until it has none.
    let refused = (0..2000).find_map(|_| match lab.filter.cli(&["off", "--why", &"x".repeat(1000)]) {
        Ok(answer) if answer.code == Some(0) => lab.filter.cli(&["on"]).err().map(Err),
        answer => Some(answer),
    });
    let answer = refused.context("the disk never was full")??;
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    assert!(answer.stderr.contains("disk is full"), "{answer:#?}");
    assert!(daemon.is_running()?);
    lab.filter.status()?;

    fs::remove_file(filler)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;
    lab.filter.done(&["off"])?;
    lab.goes_through(&caller)?;
    Ok(())
}
