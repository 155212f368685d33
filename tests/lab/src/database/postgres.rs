//! PostgreSQL: `postgres` as the user nobody, for it refuses to run as root.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Group, Pid, User};

use super::Server;
use crate::process;

const USER: &str = "nobody";

/// Where Debian has the programs of the server: not in the PATH, since there may be several versions.
fn program(name: &str) -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin").join(name)).collect();
    programs.retain(|program| program.is_file());
    programs.sort();
    programs.pop().with_context(|| format!("no {name} in /usr/lib/postgresql/*/bin: `cargo xtask setup` installs it"))
}

/// Makes the data directory, and gives all to its user.
pub(super) fn initialise(server: &Server) -> Result<()> {
    let own = |path: &Path| -> Result<()> {
        let user = User::from_name(USER)?.context("there is no user nobody")?;
        let group = Group::from_name("nogroup")?.context("there is no group nogroup")?;
        chown(path, Some(user.uid.as_raw()), Some(group.gid.as_raw())).with_context(|| path.display().to_string())
    };
    own(server.directory())?;
    fs::set_permissions(server.directory(), fs::Permissions::from_mode(0o755)).context("open the directory")?;
    if let Some(certificates) = &server.certificates {
        own(&certificates.key)?;
        fs::set_permissions(&certificates.key, fs::Permissions::from_mode(0o600)).context("close the key")?;
    }
    let mut command = server.command_as(Some(USER), &program("initdb")?);
    command.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--pgdata"]);
    process::output(command.arg(server.path("data")))?;
    // The administrator comes in without a password, others do not.
    let network = if server.certificates.is_some() { "hostssl" } else { "host" };
    let rules = format!("local all postgres trust\nlocal all all scram-sha-256\n{network} all all all scram-sha-256\n");
    fs::write(server.path("data/pg_hba.conf"), rules).context("write pg_hba.conf")
}

/// The server.
pub(super) fn command(server: &Server) -> Result<Command> {
    let mut command = server.command_as(Some(USER), &program("postgres")?);
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
    Ok(command)
}

/// The administrator's client; what it is to do comes by its standard input.
pub(super) fn session(server: &Server, database: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t", "-U", "postgres"]);
    command.args(["-v", "ON_ERROR_STOP=1", "-d", database, "-h"]).arg(server.directory());
    if let Some(network) = &server.network {
        command.args(["-p", &network.address.port().to_string()]);
    }
    command
}

/// The same; what it is to do comes as the last argument.
pub(super) fn client(server: &Server, database: &str) -> Command {
    let mut command = session(server, database);
    command.arg("-c");
    command
}

pub(super) fn make_database(server: &Server) -> Result<()> {
    // Each by a client of its own: CREATE DATABASE cannot be part of a transaction.
    let role = format!("CREATE ROLE sip_filter LOGIN PASSWORD '{}'", server.password);
    for statement in [role.as_str(), "CREATE DATABASE kamailio OWNER sip_filter"] {
        process::output(client(server, "postgres").arg(statement))?;
    }
    Ok(())
}

/// Sends a signal to the processes that the server has started.
pub(super) fn signal_children(server: &Server, signal: Signal) -> Result<()> {
    let Some(parent) = &server.process else { return Ok(()) };
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.pid()));
    for child in children.context("the server's children")?.split_whitespace() {
        // One that has just ended is no harm.
        let _ = kill(Pid::from_raw(child.parse().context("a pid")?), signal);
    }
    Ok(())
}
