//! Which database: its URL, and the form of it that may be shown.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use thiserror::Error;

/// A database that is supported, by its URL. It is shown only without its password.
#[derive(Clone)]
pub struct DatabaseUrl {
    shown: DisplayUrl,
    pub(super) target: Target,
}

/// What the URL names.
#[derive(Clone)]
pub(super) enum Target {
    /// `sqlite:`: a file.
    Sqlite(Box<SqliteConnectOptions>),
    /// `mysql:`: a MySQL or MariaDB server.
    MySql(Box<MySqlConnectOptions>),
    /// `postgres:`: a PostgreSQL server.
    Postgres(Box<PgConnectOptions>),
}

/// Why a URL is none that can be used.
#[derive(Debug, Error)]
pub enum DatabaseUrlError {
    /// Not a database that we speak.
    #[error(
        "{url}: a database URL starts with sqlite:, mysql: or postgres:, for example sqlite:///var/lib/sip-filter/sip-filter.db \
         or mysql://user:password@db.example.com/kamailio"
    )]
    Scheme {
        /// The URL, without password.
        url: DisplayUrl,
    },
    /// A database that lives in one process.
    #[error("{url}: a database in memory cannot be shared with the commands and Kamailio; name a file")]
    InMemory {
        /// The URL, without password.
        url: DisplayUrl,
    },
    /// A server without the name of a database.
    #[error("{url}: it names no database; write it behind the host, as in mysql://user@host/kamailio")]
    NoDatabase {
        /// The URL, without password.
        url: DisplayUrl,
    },
    /// The rest of the URL.
    #[error("{url}: {source}")]
    Invalid {
        /// The URL, without password.
        url: DisplayUrl,
        /// What the driver says.
        source: sqlx::Error,
    },
}

impl DatabaseUrl {
    /// The URL without its password.
    pub fn display(&self) -> &DisplayUrl {
        &self.shown
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(url: &str) -> Result<Self, DatabaseUrlError> {
        let shown = DisplayUrl::of(url);
        let target = match url.split_once(':') {
            Some(("sqlite", rest)) => Target::Sqlite(Box::new(sqlite(url, rest, &shown)?)),
            Some(("mysql" | "mariadb", _)) => Target::MySql(Box::new(mysql(url, &shown)?)),
            Some(("postgres" | "postgresql", _)) => Target::Postgres(Box::new(postgres(url, &shown)?)),
            _ => return Err(DatabaseUrlError::Scheme { url: shown }),
        };
        Ok(Self { shown, target })
    }
}

fn sqlite(url: &str, rest: &str, shown: &DisplayUrl) -> Result<SqliteConnectOptions, DatabaseUrlError> {
    let path = rest.split('?').next().unwrap_or_default().trim_start_matches('/');
    if path.is_empty() || path == ":memory:" || rest.contains("mode=memory") {
        return Err(DatabaseUrlError::InMemory { url: shown.clone() });
    }
    url.parse().map_err(|source| DatabaseUrlError::Invalid { url: shown.clone(), source })
}

fn mysql(url: &str, shown: &DisplayUrl) -> Result<MySqlConnectOptions, DatabaseUrlError> {
    let options: MySqlConnectOptions =
        url.parse().map_err(|source| DatabaseUrlError::Invalid { url: shown.clone(), source })?;
    match options.get_database() {
        Some(name) if !name.is_empty() => Ok(options),
        _ => Err(DatabaseUrlError::NoDatabase { url: shown.clone() }),
    }
}

fn postgres(url: &str, shown: &DisplayUrl) -> Result<PgConnectOptions, DatabaseUrlError> {
    let options: PgConnectOptions =
        url.parse().map_err(|source| DatabaseUrlError::Invalid { url: shown.clone(), source })?;
    match options.get_database() {
        // The server shows it in pg_stat_activity.
        Some(name) if !name.is_empty() => Ok(options.application_name("sip-filter")),
        _ => Err(DatabaseUrlError::NoDatabase { url: shown.clone() }),
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({})", self.shown)
    }
}

/// A URL as it was given, not looked at yet.
///
/// A value that cannot be parsed is shown whole by clap and by toml, so they get this to parse, which always can be.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct GivenUrl(String);

impl GivenUrl {
    /// Looks at it.
    pub fn parse(&self) -> Result<DatabaseUrl, DatabaseUrlError> {
        self.0.parse()
    }
}

impl From<&str> for GivenUrl {
    fn from(url: &str) -> Self {
        Self(url.into())
    }
}

impl fmt::Debug for GivenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GivenUrl({})", DisplayUrl::of(&self.0))
    }
}

/// A URL from which the password is gone: the only form that is logged, shown or put into an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayUrl(String);

impl DisplayUrl {
    /// `url` without the password of its authority (`user:password@host`) and without those query parameters
    /// that may carry one.
    pub fn of(url: &str) -> Self {
        let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
        let mut shown = without_password(base);
        let harmless = |pair: &&str| !pair.to_ascii_lowercase().contains("pass");
        let query = query.map(|query| query.split('&').filter(harmless).collect::<Vec<_>>().join("&"));
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            shown.push('?');
            shown.push_str(&query);
        }
        Self(shown)
    }
}

fn without_password(base: &str) -> String {
    // The last '@' ends the password, even if it has an '@' or a '/' in it that should have been escaped.
    let Some((scheme, rest)) = base.split_once("://") else { return base.into() };
    let Some((user_info, host)) = rest.rsplit_once('@') else { return base.into() };
    match user_info.split_once(':') {
        Some((user, _password)) => format!("{scheme}://{user}:***@{host}"),
        None => base.into(),
    }
}

impl fmt::Display for DisplayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{DatabaseUrl, DisplayUrl};

    #[rstest]
    #[case::sqlite("sqlite:///var/lib/a.db", "sqlite:///var/lib/a.db")]
    #[case::user_only("mysql://kam@db/kamailio", "mysql://kam@db/kamailio")]
    #[case::password("mysql://kam:s3cret@db/kamailio", "mysql://kam:***@db/kamailio")]
    #[case::password_with_at("postgres://kam:s3@c/ret@db/kamailio", "postgres://kam:***@db/kamailio")]
    #[case::in_the_query("postgres://db/k?user=kam&password=s3cret", "postgres://db/k?user=kam")]
    #[case::only_in_the_query("postgres://db/k?sslpassword=s3cret", "postgres://db/k")]
    fn a_password_is_never_shown(#[case] url: &str, #[case] shown: &str) {
        assert_eq!(DisplayUrl::of(url).to_string(), shown);
    }

    #[rstest]
    #[case::unknown_scheme("oracle://kam:s3cret@db/k", "oracle://kam:***@db/k: a database URL starts with sqlite:")]
    #[case::no_scheme("/var/lib/a.db", "/var/lib/a.db: a database URL starts with sqlite:")]
    #[case::no_database("mysql://kam:s3cret@db", "mysql://kam:***@db: it names no database")]
    #[case::no_database("postgres://kam:s3cret@db/", "postgres://kam:***@db/: it names no database")]
    #[case::bad_port("mysql://kam:s3cret@db:port/k", "mysql://kam:***@db:port/k: ")]
    #[case::in_memory("sqlite::memory:", "sqlite::memory:: a database in memory")]
    #[case::no_file("sqlite://", "sqlite://: a database in memory")]
    #[case::unknown_parameter("sqlite://a.db?colour=red", "unknown query parameter `colour`")]
    fn urls_that_cannot_be_used(#[case] url: &str, #[case] error: &str) {
        let message = url.parse::<DatabaseUrl>().unwrap_err().to_string();
        assert!(message.contains(error), "{message}");
    }
}
