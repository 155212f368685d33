//! PostgreSQL's server: its programs, without a cluster of the host's own.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::debian::Apt;
use super::requirement::Requirement;

/// What postgresql-common looks at when a server is installed.
const SETTINGS: &str = "/etc/postgresql-common/createcluster.conf";

/// The newest server. Debian has the programs outside the PATH, a folder for each version.
pub(super) fn server() -> Requirement {
    Requirement::new("postgres", "a database whose servers tell of changes, in the tests", find, install)
}

fn find() -> Result<String> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs: Vec<_> = versions.map(|entry| entry.path().join("bin/postgres")).collect();
    programs.retain(|program| program.is_file());
    programs.sort();
    Ok(programs.pop().context("no /usr/lib/postgresql/*/bin/postgres")?.display().to_string())
}

fn install(apt: &mut Apt) -> Result<()> {
    apt.install(&["postgresql-common"])?;
    // Else the package makes and starts a database cluster of the host's own, which nobody has asked for. The tests make
    // theirs in temporary folders.
    if !Path::new("/var/lib/postgresql").exists() || find().is_err() {
        let settings = fs::read_to_string(SETTINGS).unwrap_or_default();
        let ours = "create_main_cluster = false\n";
        if !settings.lines().any(|line| line.trim_start().starts_with("create_main_cluster")) {
            fs::write(SETTINGS, format!("{settings}{ours}")).with_context(|| format!("write {SETTINGS}"))?;
            println!("setup: postgres         {SETTINGS} now says `create_main_cluster = false`");
        }
    }
    apt.install_without_services(&["postgresql"])
}
