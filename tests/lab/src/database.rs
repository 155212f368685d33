//! Real database servers, each in a temporary directory of its own, killed and removed when its value goes.

mod mariadb;
mod postgres;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::namespace::Namespace;
use crate::process::{self, Process};
use crate::wait;

/// How long a server may take to start or to end, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MariaDB, for MySQL too.
    Mariadb,
    /// PostgreSQL.
    Postgres,
}

/// Where a server listens, beside its unix socket.
#[derive(Debug)]
pub struct Network {
    /// The host that it runs on.
    pub namespace: Namespace,
    /// Its address there.
    pub address: SocketAddr,
    /// Whether it takes connections by TLS alone.
    pub tls: bool,
}

/// A running server with the database `kamailio` and the user `sip_filter`, who has the right to do anything in that
/// database and nothing elsewhere.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    password: String,
    network: Option<Network>,
    certificates: Option<Certificates>,
    process: Option<Process>,
    // Last: it is removed when the process has ended.
    directory: TempDir,
}

/// A lock on a table: the client that holds it, which does nothing else.
#[derive(Debug)]
pub struct TableLock {
    _session: Process,
    _input: ChildStdin,
}

impl Server {
    /// Starts a server that listens on a unix socket only.
    pub fn start(kind: Kind) -> Result<Self> {
        Self::start_with(kind, None)
    }

    /// Starts a server that listens on the network too.
    pub fn on(kind: Kind, network: Network) -> Result<Self> {
        Self::start_with(kind, Some(network))
    }

    fn start_with(kind: Kind, network: Option<Network>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("sip-filter-db-").tempdir().context("make a directory")?;
        let address = network.as_ref().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |network| network.address.ip());
        let tls = network.as_ref().is_some_and(|network| network.tls);
        let certificates = tls.then(|| Certificates::make(directory.path(), address)).transpose()?;
        let password = "s3cret".to_owned();
        let mut server = Self { kind, password, network, certificates, process: None, directory };
        match kind {
            Kind::Mariadb => mariadb::initialise(&server)?,
            Kind::Postgres => postgres::initialise(&server)?,
        }
        server.begin()?;
        match kind {
            Kind::Mariadb => mariadb::make_database(&server)?,
            Kind::Postgres => postgres::make_database(&server)?,
        }
        Ok(server)
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Starts it (again) on its data, and waits until it answers.
    pub fn begin(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the server runs already");
        let mut command = match self.kind {
            Kind::Mariadb => mariadb::command(self),
            Kind::Postgres => postgres::command(self)?,
        };
        let log = std::fs::File::create(self.path("log")).context("make the server's log")?;
        command.stdout(log.try_clone().context("the server's log")?).stderr(log);
        self.process = Some(Process::spawn(&mut command)?);
        let up = wait::until("the database server to answer", PATIENCE, || {
            if let Some(status) = self.process.as_mut().map(Process::ended).transpose()?.flatten() {
                anyhow::bail!("it has ended: {}", process::describe(status));
            }
            let mut client = match self.kind {
                Kind::Mariadb => mariadb::client(self, "mysql"),
                Kind::Postgres => postgres::client(self, "postgres"),
            };
            Ok(process::output(client.arg("SELECT 1")).is_ok())
        });
        let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
        up.map(drop).with_context(|| format!("log of the database server:\n{}", log()))
    }

    /// Stops it in good order, as for an upgrade.
    pub fn stop(&mut self) -> Result<()> {
        self.end(match self.kind {
            Kind::Mariadb => Signal::SIGTERM,
            // SIGTERM would wait until all clients have gone.
            Kind::Postgres => Signal::SIGINT,
        })
    }

    /// Kills it.
    pub fn kill(&mut self) -> Result<()> {
        self.end(Signal::SIGKILL)
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        let mut process = self.process.take().context("the server does not run")?;
        process.signal(signal)?;
        process.wait(PATIENCE).context("the end of the database server").map(drop)
    }

    /// Sends it a signal that does not end it: SIGSTOP, SIGCONT.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().context("the server does not run")?.signal(signal)?;
        if self.kind == Kind::Postgres {
            // Each connection has a process of its own.
            postgres::signal_children(self, signal)?;
        }
        Ok(())
    }

    /// URL of the database for `sip-filter`, over the unix socket, with the password.
    pub fn url(&self) -> String {
        let (password, directory) = (&self.password, self.directory.path().display());
        match self.kind {
            Kind::Mariadb => format!("mysql://sip_filter:{password}@localhost/kamailio?socket={directory}/socket"),
            Kind::Postgres => {
                let port = self.network.as_ref().map_or(5432, |network| network.address.port());
                format!("postgres://sip_filter:{password}@localhost:{port}/kamailio?host={directory}")
            }
        }
    }

    /// The same over the network, and if the server has TLS, with the certificate verified.
    pub fn network_url(&self) -> Result<String> {
        let address = self.network.as_ref().context("a server without a network")?.address;
        let scheme = match self.kind {
            Kind::Mariadb => "mysql",
            Kind::Postgres => "postgres",
        };
        let url = format!("{scheme}://sip_filter:{}@{address}/kamailio", self.password);
        let Some(Certificates { authority, .. }) = &self.certificates else { return Ok(url) };
        let authority = authority.display();
        Ok(match self.kind {
            Kind::Mariadb => format!("{url}?ssl-mode=VERIFY_IDENTITY&ssl-ca={authority}"),
            Kind::Postgres => format!("{url}?sslmode=verify-full&sslrootcert={authority}"),
        })
    }

    /// Runs SQL in the database as its administrator, by the server's own client. Columns are separated by tabs.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let mut command = match self.kind {
            Kind::Mariadb => mariadb::client(self, "kamailio"),
            Kind::Postgres => postgres::client(self, "kamailio"),
        };
        let printed = process::output(command.arg(statement))?;
        Ok(printed.trim_end().to_owned())
    }

    /// Locks a table against reading and writing, as an ALTER does or some backups do, until the value goes.
    pub fn lock(&self, table: &str) -> Result<TableLock> {
        let (statement, held) = match self.kind {
            Kind::Mariadb => (
                format!("LOCK TABLES {table} WRITE;\n"),
                format!("SHOW OPEN TABLES WHERE `Table` = '{table}' AND In_use > 0"),
            ),
            Kind::Postgres => (
                format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;\n"),
                format!(
                    "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
                     AND relation = (SELECT oid FROM pg_class WHERE relname = '{table}')"
                ),
            ),
        };
        let mut session = match self.kind {
            Kind::Mariadb => mariadb::session(self, "kamailio"),
            Kind::Postgres => postgres::session(self, "kamailio"),
        };
        let mut session = Process::spawn(session.stdin(Stdio::piped()).stdout(Stdio::null()))?;
        let mut input = session.take_stdin().context("the client's input")?;
        input.write_all(statement.as_bytes()).context("tell the client to lock the table")?;
        wait::until("the table to be locked", PATIENCE, || Ok(!self.sql(&held)?.is_empty()))?;
        Ok(TableLock { _session: session, _input: input })
    }

    /// Gives the user another password, which [`url`](Self::url) does not have.
    pub fn change_password(&self, password: &str) -> Result<()> {
        self.sql(&match self.kind {
            Kind::Mariadb => format!("ALTER USER sip_filter@'%' IDENTIFIED BY '{password}'"),
            Kind::Postgres => format!("ALTER ROLE sip_filter PASSWORD '{password}'"),
        })
        .map(drop)
    }

    /// Ends all connections of the user.
    pub fn disconnect(&self) -> Result<()> {
        match self.kind {
            Kind::Mariadb => {
                let ids = self.sql("SELECT id FROM information_schema.processlist WHERE user = 'sip_filter'")?;
                for id in ids.lines() {
                    // One that has gone by itself meanwhile is an error, and no harm.
                    let _ = self.sql(&format!("KILL {id}"));
                }
                Ok(())
            }
            Kind::Postgres => {
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sip_filter'";
                self.sql(end).map(drop)
            }
        }
    }

    /// How many connections the user may have; 0 for as many as there are.
    pub fn limit_connections(&self, most: u32) -> Result<()> {
        self.sql(&match self.kind {
            Kind::Mariadb => format!("ALTER USER sip_filter@'%' WITH MAX_USER_CONNECTIONS {most}"),
            Kind::Postgres if most == 0 => "ALTER ROLE sip_filter CONNECTION LIMIT -1".into(),
            Kind::Postgres => format!("ALTER ROLE sip_filter CONNECTION LIMIT {most}"),
        })
        .map(drop)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A command that runs on the server's host, as `user`, and is killed when the thread that started it ends.
    ///
    /// Not by `CommandExt::uid`: that comes before the closures that enter the namespace, and takes away the signal.
    fn command_as(&self, user: Option<&str>, program: &Path) -> Command {
        let mut command = match &self.network {
            Some(network) => network.namespace.command("setpriv"),
            None => Command::new("setpriv"),
        };
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = user {
            command.args(["--reuid", user, "--regid", "nogroup", "--clear-groups"]);
        }
        command.arg("--").arg(program);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(process) = &mut self.process else { return };
        // PostgreSQL's children end by themselves after this; after SIGKILL they would be found in its directory.
        // What fails here is made good by the process's own end.
        let _ = process.signal(Signal::SIGCONT);
        if self.kind == Kind::Postgres {
            let _ = postgres::signal_children(self, Signal::SIGCONT);
            if let Some(process) = &mut self.process {
                let _ = process.signal(Signal::SIGQUIT);
                let _ = process.wait(PATIENCE);
            }
        }
    }
}
