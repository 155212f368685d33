//! A sip-filter with its own socket, database and state file, as on one host.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::failure::OrFail as _;
use crate::namespace::Namespace;
use crate::process::{self, Output};
use crate::stats::Stats;

/// Name of the environment variable with the path of the binary under test.
pub const BINARY_VARIABLE: &str = "SIP_FILTER_BIN";

/// The files of one sip-filter, removed when this value is dropped, and the namespace in which it runs.
#[derive(Debug)]
pub struct Installation {
    namespace: Namespace,
    binary: PathBuf,
    database: PathBuf,
    /// URL of a database on a server; `None` for the SQLite file.
    url: Option<String>,
    dir: TempDir,
}

impl Installation {
    /// Creates an installation of `binary` on the host `namespace`. Nothing runs yet.
    ///
    /// # Panics
    ///
    /// Panics if there is no such binary, or the files cannot be created.
    #[track_caller]
    pub fn new(namespace: &Namespace, binary: &Path) -> Self {
        assert!(binary.is_file(), "no sip-filter binary at {}: run `cargo xtask build`", binary.display());
        let dir = tempfile::Builder::new().prefix("sip-filter-lab-").tempdir();
        let dir = dir.or_fail("cannot create a temporary directory");
        let database = dir.path().join("sip-filter.db");
        let installation = Self { namespace: namespace.clone(), binary: binary.to_owned(), database, url: None, dir };
        // The default configuration file is the host's. It must not affect a test.
        fs::write(installation.config(), "").or_fail("cannot write an empty configuration file");
        installation
    }

    /// Creates an installation on another host with the database of `other`: two hosts of one cluster.
    ///
    /// `other` has to live longer.
    ///
    /// # Panics
    ///
    /// Panics as [`Self::new`] does.
    #[track_caller]
    pub fn sharing(namespace: &Namespace, other: &Self) -> Self {
        let (database, url) = (other.database.clone(), other.url.clone());
        Self { database, url, ..Self::new(namespace, &other.binary) }
    }

    /// Replaces the SQLite file by the database on a server that `url` names.
    #[must_use]
    pub fn with_url(self, url: String) -> Self {
        Self { url: Some(url), ..self }
    }

    /// Returns the path of the binary that `SIP_FILTER_BIN` names.
    ///
    /// # Panics
    ///
    /// Panics if the variable is not set.
    #[track_caller]
    pub fn binary_from_env() -> PathBuf {
        env::var_os(BINARY_VARIABLE).map(PathBuf::from).or_fail(format_args!(
            "{BINARY_VARIABLE} must name the sip-filter binary to test: run `cargo xtask test`, which sets it"
        ))
    }

    /// Returns the path of the control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    /// Returns the path of the SQLite file.
    pub fn database(&self) -> PathBuf {
        self.database.clone()
    }

    /// Returns the path of the file with the last applied policy.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state.json")
    }

    /// Returns the path of the configuration file, which is empty unless a test writes it.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    /// Returns the directory of all these files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the command `sip-filter` with the global options that select this installation.
    pub fn command(&self) -> Command {
        let mut command = self.bare_command();
        command.arg("--socket").arg(self.socket());
        match &self.url {
            // Not as an argument, which other users can see: the URL has a password.
            Some(url) => command.env("SIP_FILTER_DATABASE_URL", url),
            None => command.arg("--database-url").arg(format!("sqlite://{}", self.database().display())),
        };
        command.arg("--state-file").arg(self.state());
        command.arg("--config").arg(self.config());
        command
    }

    /// Returns the command `sip-filter` without options, and without what the environment of the test sets for it.
    pub fn bare_command(&self) -> Command {
        let mut command = self.namespace.command(&self.binary);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIP_FILTER_")) {
            command.env_remove(name);
        }
        command.env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs a subcommand to its end, whatever its exit status.
    ///
    /// # Panics
    ///
    /// Panics if the command does not end.
    #[track_caller]
    pub fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        process::run(self.command().args(arguments))
    }

    /// Runs a subcommand and returns its standard output.
    ///
    /// # Panics
    ///
    /// Panics unless its exit status is 0.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.code == Some(0), "`sip-filter {}` failed: {output:#?}", arguments.join(" "));
        output.stdout
    }

    /// Runs a subcommand with `--json` and returns its parsed output.
    ///
    /// # Panics
    ///
    /// Panics unless its exit status is 0.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        parse(arguments, &self.run(&[arguments, &["--json"]].concat()))
    }

    /// Returns the counters of the daemon.
    ///
    /// # Panics
    ///
    /// Panics if `sip-filter stats` fails.
    #[track_caller]
    pub fn stats(&self) -> Stats {
        Stats::from_json(&self.json(&["stats"]))
    }

    /// Returns the output of `sip-filter status --json`, also if the daemon is degraded.
    ///
    /// # Panics
    ///
    /// Panics if the command fails.
    #[track_caller]
    pub fn status(&self) -> Value {
        let output = self.output(&["status", "--json"]);
        // 3 means degraded; tests check the members themselves.
        assert!(matches!(output.code, Some(0 | 3)), "`sip-filter status --json` failed: {output:#?}");
        parse(&["status"], &output.stdout)
    }

    /// Returns the kinds of the alarms in force, as `status` names them.
    ///
    /// # Panics
    ///
    /// Panics if `sip-filter status` fails.
    #[track_caller]
    pub fn alarms(&self) -> Vec<String> {
        let status = self.status();
        let alarms = status["alarms"].as_array().or_fail(format_args!("no alarms in {status}"));
        alarms.iter().filter_map(|alarm| Some(alarm["kind"].as_str()?.to_owned())).collect()
    }

    /// Starts the daemon with these arguments after `run` and waits until it is ready.
    ///
    /// # Panics
    ///
    /// Panics if the daemon ends or is not ready in time; the message has its log.
    #[track_caller]
    pub fn start(&self, arguments: &[&str]) -> Daemon {
        Daemon::start(self, arguments)
    }

    /// Runs SQL with the `sqlite3` tool, as an administrator would, and returns its output.
    ///
    /// # Panics
    ///
    /// Panics if SQLite rejects the statement.
    #[track_caller]
    pub fn sqlite(&self, sql: &str) -> String {
        // An administrator sets the timeout too: the daemon may be writing.
        let mut command = Command::new("sqlite3");
        process::stdout(command.arg("-cmd").arg(".timeout 2000").arg(self.database()).arg(sql))
    }

    /// Writes a row of `htable_config` as an administrator does.
    ///
    /// # Panics
    ///
    /// Panics if SQLite rejects the row.
    #[track_caller]
    pub fn set_row(&self, key: &str, value: &str) {
        self.sqlite(&format!(
            "BEGIN IMMEDIATE; DELETE FROM htable_config WHERE key_name = '{key}'; \
             INSERT INTO htable_config (key_name, key_value) VALUES ('{key}', '{value}'); COMMIT;"
        ));
    }

    /// Writes a row of `htable_config` and returns when the daemon has applied it.
    ///
    /// # Panics
    ///
    /// Panics if SQLite rejects the row, or the daemon does not reload.
    #[track_caller]
    pub fn apply_row(&self, key: &str, value: &str) {
        self.set_row(key, value);
        self.run(&["reload"]);
    }

    /// Returns the log of all daemons of this installation.
    pub fn log(&self) -> String {
        let read = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&read).into_owned()
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.dir.path().join("daemon.log")
    }

    pub(crate) fn stdout_file(&self) -> PathBuf {
        self.dir.path().join("daemon.stdout")
    }
}

#[track_caller]
fn parse(arguments: &[&str], json: &str) -> Value {
    serde_json::from_str(json).or_fail(format_args!("`sip-filter {}` printed no JSON but {json}", arguments.join(" ")))
}
