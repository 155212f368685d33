//! Kamailio, the proxy that shares its table with sip-filter, without the package's service.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::debian::Apt;
use super::requirement::Requirement;
use crate::command;

/// Kamailio's modules that the tests load.
const MODULES: [&str; 5] = ["db_mysql.so", "db_postgres.so", "db_sqlite.so", "htable.so", "jsonrpcs.so"];

/// Returns the requirement for Kamailio with its database modules.
pub(super) fn requirement() -> Requirement {
    Requirement::new("kamailio", "run the tests with the proxy that shares its table with sip-filter", find, install)
}

fn find() -> Result<String> {
    let program = command::find_program("kamailio").context("no program kamailio in PATH")?;
    // The folder of the modules depends on the architecture: /usr/lib/x86_64-linux-gnu/kamailio/modules.
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let folders: Vec<PathBuf> = libraries.map(|entry| entry.path().join("kamailio/modules")).collect();
    for module in MODULES {
        if !folders.iter().any(|folder| folder.join(module).is_file()) {
            bail!("no Kamailio module {module} in /usr/lib/*/kamailio/modules");
        }
    }
    Ok(program.display().to_string())
}

fn install(apt: &mut Apt) -> Result<()> {
    // The package would start a proxy on port 5060.
    apt.install_without_services(&[
        "kamailio",
        "kamailio-mysql-modules",
        "kamailio-postgres-modules",
        "kamailio-sqlite-modules",
    ])
}
