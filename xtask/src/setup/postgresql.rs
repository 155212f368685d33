//! PostgreSQL's server program, without the package's database cluster and service.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::debian::Apt;
use super::requirement::Requirement;

/// Settings that postgresql-common reads when a server is installed.
const SETTINGS: &str = "/etc/postgresql-common/createcluster.conf";

/// Name of the requirement.
const NAME: &str = "postgres";

/// Returns the requirement for the newest server. Debian installs the programs of each version in a folder outside
/// `PATH`.
pub(super) fn server() -> Requirement {
    Requirement::new(NAME, "run the tests on PostgreSQL", find, install)
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
    // By default the package creates and starts a database cluster. The tests create their own in temporary folders.
    if !Path::new("/var/lib/postgresql").exists() || find().is_err() {
        let settings = fs::read_to_string(SETTINGS).unwrap_or_default();
        let added = "create_main_cluster = false\n";
        if !settings.lines().any(|line| line.trim_start().starts_with("create_main_cluster")) {
            fs::write(SETTINGS, format!("{settings}{added}")).with_context(|| format!("cannot write {SETTINGS}"))?;
            super::print(NAME, format_args!("added `create_main_cluster = false` to {SETTINGS}"));
        }
    }
    apt.install_without_services(&["postgresql"])
}
