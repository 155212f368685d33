//! PostgreSQL: `postgres` as the user nobody, since it does not run as root.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Group, Pid, User};

use super::Server;
use crate::failure::OrFail as _;
use crate::process::{self, Process};

const USER: &str = "nobody";

/// Returns the path of a program of the server.
///
/// Debian does not have these programs in the PATH, since several versions may be installed.
#[track_caller]
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin").join(name)).collect();
    programs.retain(|program| program.is_file());
    programs.sort();
    programs.pop().or_fail(format_args!("no {name} in /usr/lib/postgresql/*/bin: run `cargo xtask setup`"))
}

/// Creates the data directory, and gives everything to the server's user.
#[track_caller]
pub(super) fn initialize(server: &Server) {
    own(server.directory(), 0o755);
    if let Some(certificates) = &server.certificates {
        own(&certificates.key, 0o600);
    }
    let mut command = server.command_as(Some(USER), &program("initdb"));
    command.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--pgdata"]);
    process::stdout(command.arg(server.path("data")));
    // Only the administrator connects without a password.
    let network = if server.certificates.is_some() { "hostssl" } else { "host" };
    let rules = format!("local all postgres trust\nlocal all all scram-sha-256\n{network} all all all scram-sha-256\n");
    fs::write(server.path("data/pg_hba.conf"), rules).or_fail("cannot write pg_hba.conf");
}

/// Gives a file to the server's user and sets its permissions.
#[track_caller]
fn own(path: &Path, mode: u32) {
    let user = User::from_name(USER).ok().flatten().or_fail("there is no user nobody");
    let group = Group::from_name("nogroup").ok().flatten().or_fail("there is no group nogroup");
    chown(path, Some(user.uid.as_raw()), Some(group.gid.as_raw()))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .or_fail(format_args!("cannot give {} to nobody", path.display()));
}

/// Returns the command of the server.
#[track_caller]
pub(super) fn command(server: &Server) -> Command {
    let mut command = server.command_as(Some(USER), &program("postgres"));
    command.arg("-D").arg(server.path("data")).arg("-k").arg(server.directory());
    let mut set = |name: &str, value: &str| {
        command.args(["-c", &format!("{name}={value}")]);
    };
    set("fsync", "off");
    set("shared_buffers", "16MB");
    set("max_connections", "40");
    match &server.network {
        None => set("listen_addresses", ""),
        Some(network) => {
            set("listen_addresses", &network.address.ip().to_string());
            set("port", &network.address.port().to_string());
        }
    }
    if let Some(certificates) = &server.certificates {
        set("ssl", "on");
        set("ssl_cert_file", &certificates.certificate.display().to_string());
        set("ssl_key_file", &certificates.key.display().to_string());
    }
    command
}

/// Returns the administrator's client, which reads statements from its standard input.
pub(super) fn session(server: &Server, database: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t", "-U", "postgres"]);
    command.args(["-v", "ON_ERROR_STOP=1", "-d", database, "-h"]).arg(server.directory());
    if let Some(network) = &server.network {
        command.args(["-p", &network.address.port().to_string()]);
    }
    command
}

/// Returns the administrator's client, which takes a statement as its last argument.
pub(super) fn client(server: &Server, database: &str) -> Command {
    let mut command = session(server, database);
    command.arg("-c");
    command
}

/// Creates the database and its user.
#[track_caller]
pub(super) fn create_database(server: &Server) {
    // One client for each statement: CREATE DATABASE cannot be part of a transaction.
    let role = format!("CREATE ROLE sip_filter LOGIN PASSWORD '{}'", server.password);
    for statement in [role.as_str(), "CREATE DATABASE kamailio OWNER sip_filter"] {
        process::stdout(client(server, "postgres").arg(statement));
    }
}

/// Sends a signal to the child processes of the server.
pub(super) fn signal_children(server: &Process, signal: Signal) -> io::Result<()> {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid()))?;
    for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        // A child that has just ended does not matter.
        let _ = kill(Pid::from_raw(child), signal);
    }
    Ok(())
}
