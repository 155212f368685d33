//! MariaDB: `mariadbd` as root, on a data directory of its own.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Server;
use crate::process;

/// Makes the data directory.
///
/// Here and below, temporary tables go to the server's own directory: in a shared one each server that starts removes
/// all of them, also those of one that is at work.
pub(super) fn initialise(server: &Server) -> Result<()> {
    let mut command = Command::new("mariadb-install-db");
    command.args(["--no-defaults", "--user=root", "--skip-test-db", "--auth-root-authentication-method=normal"]);
    command.args(["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"]);
    command.arg(format!("--datadir={}", server.path("data").display()));
    process::output(command.env("TMPDIR", server.directory.path())).map(drop)
}

/// The server.
pub(super) fn command(server: &Server) -> Command {
    let mut command = server.command_as(None, Path::new("mariadbd"));
    command.args(["--no-defaults", "--user=root", "--skip-log-bin", "--skip-name-resolve", "--performance-schema=0"]);
    // Only a power cut could lose something, and then the machine is gone with the test.
    command.args(["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M"]);
    command.arg(format!("--datadir={}", server.path("data").display()));
    command.arg(format!("--socket={}", server.path("socket").display()));
    command.arg(format!("--pid-file={}", server.path("pid").display()));
    command.env("TMPDIR", server.directory.path());
    match &server.network {
        None => {
            command.arg("--skip-networking");
        }
        Some(network) => {
            command.arg(format!("--bind-address={}", network.address.ip()));
            command.arg(format!("--port={}", network.address.port()));
        }
    }
    if let Some(certificates) = &server.certificates {
        command.arg(format!("--ssl-ca={}", certificates.authority.display()));
        command.arg(format!("--ssl-cert={}", certificates.certificate.display()));
        command.arg(format!("--ssl-key={}", certificates.key.display()));
        command.arg("--require-secure-transport=ON");
    }
    command
}

/// The administrator's client; what it is to do comes by its standard input.
pub(super) fn session(server: &Server, database: &str) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--database", database]);
    command.arg(format!("--socket={}", server.path("socket").display()));
    command
}

/// The same; what it is to do comes as the last argument.
pub(super) fn client(server: &Server, database: &str) -> Command {
    let mut command = session(server, database);
    command.arg("--execute");
    command
}

pub(super) fn make_database(server: &Server) -> Result<()> {
    let statements = format!(
        "CREATE DATABASE kamailio; CREATE USER sip_filter@'%' IDENTIFIED BY '{}'; \
         GRANT ALL ON kamailio.* TO sip_filter@'%'",
        server.password
    );
    process::output(client(server, "mysql").arg(statements)).map(drop)
}
