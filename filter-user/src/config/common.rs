//! The options that every command has, and the configuration file.

#![expect(clippy::doc_markdown, reason = "clap shows the doc comments of options as help texts, which are plain text")]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::{Error, RunOptions, RunSettings};
use crate::domain::{NodeName, TableName};
use crate::store::{DatabaseUrl, GivenUrl};

pub(super) const CONFIG: &str = "/etc/sip-filter/config.toml";
pub(super) const SOCKET: &str = "/run/sip-filter/control.sock";
pub(super) const DATABASE: &str = "sqlite:///var/lib/sip-filter/sip-filter.db";
pub(super) const STATE_FILE: &str = "/var/lib/sip-filter/state.json";

/// Options that every command has; with those of `run`, the configuration file.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[command(next_help_heading = "Options of all commands")]
pub struct Common {
    /// Configuration file (TOML) [default: /etc/sip-filter/config.toml]
    ///
    /// Its keys are the long names of the options; those of `run` are in the table [run]. An unknown key or a bad value
    /// is an error of every command. The default file may be missing; a file that is named here may not.
    #[arg(long, global = true, env = "SIP_FILTER_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Control socket of the daemon [default: /run/sip-filter/control.sock]
    #[arg(long, global = true, env = "SIP_FILTER_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Database with the policy rows [default: sqlite:///var/lib/sip-filter/sip-filter.db]
    ///
    /// sqlite:///PATH, mysql://USER:PASSWORD@HOST/DATABASE (MariaDB too) or postgres://USER:PASSWORD@HOST/DATABASE.
    /// Parameters follow, for example ?ssl-mode=VERIFY_IDENTITY&ssl-ca=FILE or ?socket=PATH (mysql), and
    /// ?sslmode=verify-full&sslrootcert=FILE or ?host=DIRECTORY (postgres).
    ///
    /// Put a URL with a password into the configuration file or the environment: every user of the host can read the
    /// arguments of a process. The password is never shown or logged.
    #[arg(long, global = true, env = "SIP_FILTER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<GivenUrl>,

    /// Table with the policy rows [default: htable_config]
    ///
    /// A table in the shape of Kamailio's htable module (modparam "dbtable"). It may be Kamailio's own.
    #[arg(long, global = true, env = "SIP_FILTER_TABLE", value_name = "NAME")]
    pub table: Option<TableName>,

    /// File with the last applied policy [default: /var/lib/sip-filter/state.json]
    ///
    /// A daemon that starts while the database is down resumes the state in which it stopped.
    #[arg(long, global = true, env = "SIP_FILTER_STATE_FILE", value_name = "PATH")]
    pub state_file: Option<PathBuf>,

    /// Options of `run`, a table of the file.
    #[arg(skip)]
    #[serde(default)]
    pub run: RunOptions,
}

/// The values of the options that every command has.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Control socket.
    pub socket: PathBuf,
    /// Database.
    pub database: DatabaseUrl,
    /// Policy table in the database.
    pub table: TableName,
    /// State file.
    pub state_file: PathBuf,
    /// Name of this host.
    pub node: NodeName,
}

/// The options of the command line, which take precedence over those of the configuration file.
#[derive(Clone, Debug)]
pub struct Config {
    flags: Common,
    file: Common,
}

#[cfg(test)]
impl Settings {
    /// Returns the settings of the host `sbc1`, whose files, with a SQLite database, are in `directory`.
    #[track_caller]
    pub(crate) fn for_test(directory: &Path) -> Self {
        Self {
            socket: directory.join("control.sock"),
            database: format!("sqlite://{}", directory.join("sip-filter.db").display()).parse().unwrap(),
            table: TableName::default(),
            state_file: directory.join("state.json"),
            node: "sbc1".parse().unwrap(),
        }
    }
}

impl Config {
    /// Reads the configuration file that `flags` name, or the default one.
    pub fn load(flags: Common) -> Result<Self, Error> {
        let path = config_path(&flags);
        let file = match std::fs::read_to_string(path) {
            Ok(text) => parse(path, &text)?,
            Err(error) if error.kind() == ErrorKind::NotFound && flags.config.is_none() => Common::default(),
            Err(source) => return Err(Error::Read { path: path.into(), source }),
        };
        Ok(Self { flags, file })
    }

    /// Returns the values of the options that every command has.
    pub fn settings(&self) -> Result<Settings, Error> {
        let Self { flags, file } = self;
        Ok(Settings {
            socket: setting!(&flags.socket, &file.socket, SOCKET.into()),
            database: setting!(&flags.database_url, &file.database_url, DATABASE.into()).parse()?,
            table: setting!(&flags.table, &file.table, TableName::default()),
            state_file: setting!(&flags.state_file, &file.state_file, STATE_FILE.into()),
            node: RunOptions::default().values(&file.run).node,
        })
    }

    /// Returns the values of the options of `run`, and of those that every command has.
    pub fn run_settings(&self, options: &RunOptions) -> Result<(Settings, RunSettings), Error> {
        let run = options.values(&self.file.run);
        run.check(config_path(&self.flags))?;
        Ok((Settings { node: run.node.clone(), ..self.settings()? }, run))
    }
}

fn config_path(flags: &Common) -> &Path {
    flags.config.as_deref().unwrap_or_else(|| Path::new(CONFIG))
}

fn parse(path: &Path, text: &str) -> Result<Common, Error> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Error::Parse { path: path.into(), line, problem: error.message().to_owned() }
    })
}
