//! MariaDB: `mariadbd` as root, on its own data directory.

use std::path::Path;
use std::process::Command;

use super::Server;
use crate::process;

/// Creates the data directory.
///
/// Here and below, temporary tables are in the server's own directory: a server that starts removes all of them from a
/// shared one, including those of a server that is running.
#[track_caller]
pub(super) fn initialize(server: &Server) {
    let mut command = Command::new("mariadb-install-db");
    command.args(["--no-defaults", "--user=root", "--skip-test-db", "--auth-root-authentication-method=normal"]);
    command.args(["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"]);
    command.arg(format!("--datadir={}", server.path("data").display()));
    process::stdout(command.env("TMPDIR", server.directory.path()));
}

/// Returns the command of the server.
pub(super) fn command(server: &Server) -> Command {
    let mut command = server.command_as(None, Path::new("mariadbd"));
    command.args(["--no-defaults", "--user=root", "--skip-log-bin", "--skip-name-resolve", "--performance-schema=0"]);
    // Only a power failure could lose a transaction, and it would end the test too.
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

/// Returns the administrator's client, which reads statements from its standard input.
pub(super) fn session(server: &Server, database: &str) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--database", database]);
    command.arg(format!("--socket={}", server.path("socket").display()));
    command
}

/// Returns the administrator's client, which takes a statement as its last argument.
pub(super) fn client(server: &Server, database: &str) -> Command {
    let mut command = session(server, database);
    command.arg("--execute");
    command
}

/// Creates the database and its user.
#[track_caller]
pub(super) fn create_database(server: &Server) {
    let statements = format!(
        "CREATE DATABASE kamailio; CREATE USER sip_filter@'%' IDENTIFIED BY '{}'; \
         GRANT ALL ON kamailio.* TO sip_filter@'%'",
        server.password
    );
    process::stdout(client(server, "mysql").arg(statements));
}
