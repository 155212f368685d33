//! A sip-filter with a socket, a database and a state file of its own, as on one host.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::namespace::Namespace;
use crate::process;
use crate::stats::Stats;

/// Names the binary under test.
pub const BINARY: &str = "SIP_FILTER_BIN";

/// The files of one sip-filter, removed when this value goes, and the namespace in which it runs.
#[derive(Debug)]
pub struct Installation {
    namespace: Namespace,
    binary: PathBuf,
    database: PathBuf,
    /// Of a database on a server; without it the database is the SQLite file.
    url: Option<String>,
    dir: TempDir,
}

/// What a command left behind when it ended.
#[derive(Debug)]
pub struct Answer {
    /// Exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Installation {
    /// An installation of `binary` on the host that `namespace` is. Nothing runs yet.
    pub fn new(namespace: &Namespace, binary: &Path) -> Result<Self> {
        ensure!(binary.is_file(), "no sip-filter binary at {}: `cargo xtask build` makes it", binary.display());
        let dir = tempfile::Builder::new().prefix("sip-filter-lab-").tempdir().context("make a temporary directory")?;
        let database = dir.path().join("sip-filter.db");
        let installation = Self { namespace: namespace.clone(), binary: binary.to_owned(), database, url: None, dir };
        // The default configuration file is the host's: it must not leak into a test.
        fs::write(installation.config(), "").context("write an empty configuration file")?;
        Ok(installation)
    }

    /// The same on another host, with the database of `other`: two hosts of one cluster. `other` has to live longer.
    pub fn sharing(namespace: &Namespace, other: &Self) -> Result<Self> {
        let (database, url) = (other.database.clone(), other.url.clone());
        Ok(Self { database, url, ..Self::new(namespace, &other.binary)? })
    }

    /// The same with a database on a server, by its URL.
    pub fn with_url(self, url: String) -> Self {
        Self { url: Some(url), ..self }
    }

    /// The binary that `SIP_FILTER_BIN` names.
    pub fn binary_from_env() -> Result<PathBuf> {
        env::var_os(BINARY).map(PathBuf::from).with_context(|| {
            format!("{BINARY} must name the sip-filter binary to test: run `cargo xtask test`, which sets it")
        })
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    /// The SQLite file.
    pub fn database(&self) -> PathBuf {
        self.database.clone()
    }

    /// The file with the last applied policy.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state.json")
    }

    /// The configuration file: empty, unless a test writes it.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    /// The directory with all of them.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `sip-filter` with the global options that point it at this installation.
    pub fn command(&self) -> Command {
        let mut command = self.bare_command();
        command.arg("--socket").arg(self.socket());
        match &self.url {
            // Not as an argument: others can see those, and it has a password.
            Some(url) => command.env("SIP_FILTER_DATABASE_URL", url),
            None => command.arg("--database-url").arg(format!("sqlite://{}", self.database().display())),
        };
        command.arg("--state-file").arg(self.state());
        command.arg("--config").arg(self.config());
        command
    }

    /// `sip-filter` without any option, and without what the environment of the test says.
    pub fn bare_command(&self) -> Command {
        let mut command = self.namespace.command(&self.binary);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIP_FILTER_")) {
            command.env_remove(name);
        }
        command.env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs a subcommand to its end.
    pub fn cli<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Answer> {
        Answer::of(self.command().args(arguments))
    }

    /// Runs a subcommand that has to succeed and returns what it printed.
    pub fn done(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.cli(arguments)?;
        ensure!(answer.code == Some(0), "sip-filter {}: {answer:#?}", arguments.join(" "));
        Ok(answer.stdout)
    }

    /// `sip-filter stats --json`.
    pub fn stats(&self) -> Result<Stats> {
        Stats::parse(&self.done(&["stats", "--json"])?)
    }

    /// `sip-filter status --json`.
    pub fn status(&self) -> Result<serde_json::Value> {
        // 3 means that it works, though degraded: tests look at the fields themselves.
        let answer = self.cli(&["status", "--json"])?;
        ensure!(matches!(answer.code, Some(0 | 3)), "sip-filter status --json: {answer:#?}");
        serde_json::from_str(&answer.stdout).with_context(|| format!("JSON of status: {}", answer.stdout))
    }

    /// Starts the daemon with these arguments after `run` and waits until it is ready.
    pub fn start(&self, arguments: &[&str]) -> Result<Daemon> {
        Daemon::start(self, arguments)
    }

    /// Runs SQL by the `sqlite3` tool, as an administrator would, and returns what it printed.
    pub fn sqlite(&self, sql: &str) -> Result<String> {
        // The timeout is what an administrator sets too: the daemon may be writing.
        let mut command = Command::new("sqlite3");
        process::output(command.arg("-cmd").arg(".timeout 2000").arg(self.database()).arg(sql))
    }

    /// Writes a row of `htable_config` as an administrator does, and returns when the daemon has applied it.
    pub fn apply_row(&self, key: &str, value: &str) -> Result<()> {
        self.sqlite(&format!(
            "BEGIN IMMEDIATE; DELETE FROM htable_config WHERE key_name = '{key}'; \
             INSERT INTO htable_config (key_name, key_value) VALUES ('{key}', '{value}'); COMMIT;"
        ))?;
        self.done(&["reload"])?;
        Ok(())
    }

    /// What all daemons of this installation have logged.
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

impl Answer {
    /// Runs `command` to its end.
    pub fn of(command: &mut Command) -> Result<Self> {
        let output = process::run(command)?;
        Ok(Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
