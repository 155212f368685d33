//! Kamailio: the proxy that shares its table with us, without a service of the host's own.

use std::path::Path;

use anyhow::{Result, bail};

use super::debian::Apt;
use super::requirement::{Requirement, in_path};

/// Kamailio with its modules for the databases.
pub(super) fn requirement() -> Requirement {
    Requirement::new("kamailio", "the proxy that shares its table with us, in the tests", find, install)
}

fn find() -> Result<String> {
    let Some(program) = in_path("kamailio") else { bail!("no program kamailio in PATH") };
    // Where the modules are depends on the architecture.
    let libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let folders: Vec<_> = libraries.map(|entry| entry.path().join("kamailio/modules")).collect();
    for module in ["db_mysql.so", "db_postgres.so", "db_sqlite.so", "htable.so", "jsonrpcs.so"] {
        if !folders.iter().any(|folder: &std::path::PathBuf| Path::new(folder).join(module).is_file()) {
            bail!("Kamailio's module {module} is not there");
        }
    }
    Ok(program.display().to_string())
}

fn install(apt: &mut Apt) -> Result<()> {
    // Its package starts the proxy, on the port of SIP.
    apt.install_without_services(&[
        "kamailio",
        "kamailio-mysql-modules",
        "kamailio-postgres-modules",
        "kamailio-sqlite-modules",
    ])
}
