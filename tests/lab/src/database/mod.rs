//! Real database servers, each in its own temporary directory, killed and removed when its value is dropped.

mod mariadb;
mod postgres;

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::failure::OrFail as _;
use crate::namespace::Namespace;
use crate::process::{self, Process};
use crate::wait;

/// Time within which a server must start or end, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MariaDB, which stands for MySQL too.
    Mariadb,
    /// PostgreSQL.
    Postgres,
}

/// The network address of a server, which also listens on a unix socket.
#[derive(Debug)]
pub struct Network {
    /// The host of the server.
    pub namespace: Namespace,
    /// Address of the server on that host.
    pub address: SocketAddr,
    /// Rejects connections without TLS.
    pub tls: bool,
}

/// A running server with the database `kamailio` and the user `sip_filter`, who may do anything in that database and
/// nothing elsewhere.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    password: String,
    network: Option<Network>,
    certificates: Option<Certificates>,
    process: Option<Process>,
    // The last field, so that the directory is removed after the process has ended.
    directory: TempDir,
}

/// A lock on a table: an idle client that holds the lock until this value is dropped.
#[derive(Debug)]
pub struct TableLock {
    _session: Process,
    _input: ChildStdin,
}

impl Server {
    /// Starts a server that listens on a unix socket only.
    ///
    /// # Panics
    ///
    /// Panics if the server cannot be set up or does not start; the message has its log.
    #[track_caller]
    pub fn start(kind: Kind) -> Self {
        Self::set_up(kind, None)
    }

    /// Starts a server that listens on the network too.
    ///
    /// # Panics
    ///
    /// Panics as [`Self::start`] does.
    #[track_caller]
    pub fn start_on_network(kind: Kind, network: Network) -> Self {
        Self::set_up(kind, Some(network))
    }

    #[track_caller]
    fn set_up(kind: Kind, network: Option<Network>) -> Self {
        let directory = tempfile::Builder::new().prefix("sip-filter-db-").tempdir();
        let directory = directory.or_fail("cannot create a directory for a database server");
        let address = network.as_ref().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |network| network.address.ip());
        let has_tls = network.as_ref().is_some_and(|network| network.tls);
        let certificates = has_tls.then(|| Certificates::generate(directory.path(), address));
        let password = "s3cret".to_owned();
        let mut server = Self { kind, password, network, certificates, process: None, directory };
        match kind {
            Kind::Mariadb => mariadb::initialize(&server),
            Kind::Postgres => postgres::initialize(&server),
        }
        server.start_again();
        match kind {
            Kind::Mariadb => mariadb::create_database(&server),
            Kind::Postgres => postgres::create_database(&server),
        }
        server
    }

    /// Returns the kind of the server.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Starts the server on its data after [`Self::stop`] or [`Self::kill`], and waits until it responds.
    ///
    /// # Panics
    ///
    /// Panics if the server runs already, ends, or does not respond in time; the message has its log.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the database server runs already");
        let mut command = match self.kind {
            Kind::Mariadb => mariadb::command(self),
            Kind::Postgres => postgres::command(self),
        };
        let log = fs::File::create(self.path("log")).or_fail("cannot create the log of a database server");
        command.stdout(log.try_clone().or_fail("cannot duplicate a descriptor")).stderr(log);
        self.process = Some(Process::spawn(&mut command));
        let started = wait::poll(TIMEOUT, || match self.process.as_mut().and_then(Process::try_wait) {
            Some(status) => Some(Err(status)),
            None => self.is_responding().then_some(Ok(())),
        });
        let log = || fs::read_to_string(self.path("log")).unwrap_or_default();
        match started {
            Some(Ok(())) => {}
            Some(Err(status)) => {
                panic!("{:?} ended as it started: {}; its log:\n{}", self.kind, process::describe(status), log())
            }
            None => panic!("{:?} does not respond after {TIMEOUT:?}; its log:\n{}", self.kind, log()),
        }
    }

    /// Returns whether the server responds to its administrator.
    ///
    /// # Panics
    ///
    /// Panics if the server's client is not installed, or hangs.
    #[track_caller]
    pub fn is_responding(&self) -> bool {
        let mut client = match self.kind {
            Kind::Mariadb => mariadb::client(self, "mysql"),
            Kind::Postgres => postgres::client(self, "postgres"),
        };
        process::run(client.arg("SELECT 1")).code == Some(0)
    }

    /// Stops the server cleanly, as for an upgrade.
    ///
    /// # Panics
    ///
    /// Panics if the server does not run, or does not end.
    #[track_caller]
    pub fn stop(&mut self) {
        self.end(match self.kind {
            Kind::Mariadb => Signal::SIGTERM,
            // On SIGTERM it would wait until all clients have disconnected.
            Kind::Postgres => Signal::SIGINT,
        });
    }

    /// Kills the server.
    ///
    /// # Panics
    ///
    /// Panics if the server does not run.
    #[track_caller]
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut process = self.process.take().or_fail("the database server does not run");
        process.signal(signal);
        process.wait(TIMEOUT)
    }

    /// Sends a signal that does not end the server: SIGSTOP, SIGCONT.
    ///
    /// # Panics
    ///
    /// Panics if the server does not run.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().or_fail("the database server does not run");
        process.signal(signal);
        if self.kind == Kind::Postgres {
            // Each connection has its own process.
            postgres::signal_children(process, signal).or_fail("cannot list the children of the database server");
        }
    }

    /// Returns the URL of the database for `sip-filter`, over the unix socket, with the password.
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

    /// Returns the URL of the database over the network. If the server has TLS, its certificate is verified.
    ///
    /// # Panics
    ///
    /// Panics if the server listens on a unix socket only.
    #[track_caller]
    pub fn network_url(&self) -> String {
        let address = self.network.as_ref().or_fail("the database server is not on a network").address;
        let scheme = match self.kind {
            Kind::Mariadb => "mysql",
            Kind::Postgres => "postgres",
        };
        let url = format!("{scheme}://sip_filter:{}@{address}/kamailio", self.password);
        let Some(Certificates { authority, .. }) = &self.certificates else { return url };
        let authority = authority.display();
        match self.kind {
            Kind::Mariadb => format!("{url}?ssl-mode=VERIFY_IDENTITY&ssl-ca={authority}"),
            Kind::Postgres => format!("{url}?sslmode=verify-full&sslrootcert={authority}"),
        }
    }

    /// Runs SQL in the database as its administrator, with the server's own client. Columns are separated by tabs.
    ///
    /// # Panics
    ///
    /// Panics if the server rejects the statement.
    #[track_caller]
    pub fn sql(&self, statement: &str) -> String {
        let mut command = match self.kind {
            Kind::Mariadb => mariadb::client(self, "kamailio"),
            Kind::Postgres => postgres::client(self, "kamailio"),
        };
        process::stdout(command.arg(statement)).trim_end().to_owned()
    }

    /// Writes a row of `htable_config` as an administrator does.
    ///
    /// # Panics
    ///
    /// Panics if the server rejects the row.
    #[track_caller]
    pub fn set_row(&self, key: &str, value: &str) {
        self.sql(&format!("DELETE FROM htable_config WHERE key_name = '{key}'"));
        self.sql(&format!("INSERT INTO htable_config (key_name, key_value) VALUES ('{key}', '{value}')"));
    }

    /// Locks a table against reading and writing, as an ALTER or some backups do, until the lock is dropped.
    ///
    /// # Panics
    ///
    /// Panics if the server does not grant the lock.
    #[track_caller]
    pub fn lock(&self, table: &str) -> TableLock {
        let (lock, find_lock) = match self.kind {
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
        let mut session = Process::spawn(session.stdin(Stdio::piped()).stdout(Stdio::null()));
        let mut input = session.take_stdin().or_fail("a client without standard input");
        input.write_all(lock.as_bytes()).or_fail("cannot write to the client that holds the lock");
        wait::until(format_args!("a lock on {table}"), TIMEOUT, || !self.sql(&find_lock).is_empty());
        TableLock { _session: session, _input: input }
    }

    /// Changes the user's password, but not the one in [`Self::url`].
    ///
    /// # Panics
    ///
    /// Panics if the server rejects the password.
    #[track_caller]
    pub fn change_password(&self, password: &str) {
        self.sql(&match self.kind {
            Kind::Mariadb => format!("ALTER USER sip_filter@'%' IDENTIFIED BY '{password}'"),
            Kind::Postgres => format!("ALTER ROLE sip_filter PASSWORD '{password}'"),
        });
    }

    /// Ends all connections of the user.
    ///
    /// # Panics
    ///
    /// Panics if the server does not respond.
    #[track_caller]
    pub fn disconnect(&self) {
        match self.kind {
            Kind::Mariadb => {
                let ids = self.sql("SELECT id FROM information_schema.processlist WHERE user = 'sip_filter'");
                for id in ids.lines() {
                    // A connection that has ended meanwhile is an error, which does no harm.
                    process::run(mariadb::client(self, "kamailio").arg(format!("KILL {id}")));
                }
            }
            Kind::Postgres => {
                self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sip_filter'");
            }
        }
    }

    /// Limits the number of connections of the user; 0 removes the limit.
    ///
    /// # Panics
    ///
    /// Panics if the server rejects the limit.
    #[track_caller]
    pub fn limit_connections(&self, limit: u32) {
        self.sql(&match self.kind {
            Kind::Mariadb => format!("ALTER USER sip_filter@'%' WITH MAX_USER_CONNECTIONS {limit}"),
            Kind::Postgres if limit == 0 => "ALTER ROLE sip_filter CONNECTION LIMIT -1".into(),
            Kind::Postgres => format!("ALTER ROLE sip_filter CONNECTION LIMIT {limit}"),
        });
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns a command that runs on the server's host as `user`, and is killed when the thread that starts it ends.
    ///
    /// Not with `CommandExt::uid`, which takes effect before the closure that enters the namespace, and clears the
    /// parent-death signal.
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
        if self.kind == Kind::Postgres {
            // After SIGQUIT its children end by themselves. After SIGKILL they would still use the directory. A signal
            // that fails does not matter, since the process is killed when it is dropped.
            let _ = process.try_signal(Signal::SIGCONT);
            let _ = postgres::signal_children(process, Signal::SIGCONT);
            let _ = process.try_signal(Signal::SIGQUIT);
            wait::poll(TIMEOUT, || process.try_wait());
        }
    }
}
