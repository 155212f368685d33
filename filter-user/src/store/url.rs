//! The URL of a database, and its form without a password.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use thiserror::Error;

/// The URL of a supported database. It is displayed without its password.
#[derive(Clone)]
pub struct DatabaseUrl {
    display: DisplayUrl,
    options: DriverOptions,
}

/// A parsed URL, for the driver of its database.
#[derive(Clone)]
pub(super) enum DriverOptions {
    /// `sqlite:`: a file.
    Sqlite(Box<SqliteConnectOptions>),
    /// `mysql:` or `mariadb:`: a MySQL or MariaDB server.
    MySql(Box<MySqlConnectOptions>),
    /// `postgres:` or `postgresql:`: a PostgreSQL server.
    Postgres(Box<PgConnectOptions>),
}

/// The error of a URL that cannot be used.
#[derive(Debug, Error)]
pub enum DatabaseUrlError {
    /// The scheme is not that of a supported database.
    #[error(
        "{url}: a database URL starts with sqlite:, mysql: or postgres:, for example \
         sqlite:///var/lib/sip-filter/sip-filter.db or mysql://user:password@db.example.com/kamailio"
    )]
    Scheme {
        /// URL without password.
        url: DisplayUrl,
    },
    /// The database exists in one process only.
    #[error("{url}: a database in memory cannot be shared with Kamailio and the other commands; name a file")]
    InMemory {
        /// URL without password.
        url: DisplayUrl,
    },
    /// The URL of a server lacks the name of a database.
    #[error("{url}: it names no database; append the name to the host, as in mysql://user@host/kamailio")]
    NoDatabase {
        /// URL without password.
        url: DisplayUrl,
    },
    /// The driver does not accept the URL.
    #[error("{url}: {source}")]
    Invalid {
        /// URL without password.
        url: DisplayUrl,
        /// Error of the driver.
        source: sqlx::Error,
    },
}

impl DatabaseUrl {
    /// Returns the URL without its password.
    pub const fn display(&self) -> &DisplayUrl {
        &self.display
    }

    /// Returns the options for the driver of the database.
    pub(super) const fn options(&self) -> &DriverOptions {
        &self.options
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(url: &str) -> Result<Self, DatabaseUrlError> {
        let display = DisplayUrl::new(url);
        let options = match url.split_once(':') {
            Some(("sqlite", rest)) => DriverOptions::Sqlite(Box::new(sqlite(url, rest, &display)?)),
            Some(("mysql" | "mariadb", _)) => DriverOptions::MySql(Box::new(mysql(url, &display)?)),
            Some(("postgres" | "postgresql", _)) => DriverOptions::Postgres(Box::new(postgres(url, &display)?)),
            _ => return Err(DatabaseUrlError::Scheme { url: display }),
        };
        Ok(Self { display, options })
    }
}

fn sqlite(url: &str, rest: &str, display: &DisplayUrl) -> Result<SqliteConnectOptions, DatabaseUrlError> {
    let path = rest.split('?').next().unwrap_or_default().trim_start_matches('/');
    if path.is_empty() || path == ":memory:" || rest.contains("mode=memory") {
        return Err(DatabaseUrlError::InMemory { url: display.clone() });
    }
    url.parse().map_err(|source| DatabaseUrlError::Invalid { url: display.clone(), source })
}

fn mysql(url: &str, display: &DisplayUrl) -> Result<MySqlConnectOptions, DatabaseUrlError> {
    let options: MySqlConnectOptions =
        url.parse().map_err(|source| DatabaseUrlError::Invalid { url: display.clone(), source })?;
    match options.get_database() {
        Some(name) if !name.is_empty() => Ok(options),
        _ => Err(DatabaseUrlError::NoDatabase { url: display.clone() }),
    }
}

fn postgres(url: &str, display: &DisplayUrl) -> Result<PgConnectOptions, DatabaseUrlError> {
    let options: PgConnectOptions =
        url.parse().map_err(|source| DatabaseUrlError::Invalid { url: display.clone(), source })?;
    match options.get_database() {
        // Shown in pg_stat_activity.
        Some(name) if !name.is_empty() => Ok(options.application_name("sip-filter")),
        _ => Err(DatabaseUrlError::NoDatabase { url: display.clone() }),
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({})", self.display)
    }
}

/// A URL as it was given, not parsed yet.
///
/// clap and toml show a value that they cannot parse, with its password. This type accepts every value.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct GivenUrl(String);

impl GivenUrl {
    /// Parses the URL.
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
        write!(f, "GivenUrl({})", DisplayUrl::new(&self.0))
    }
}

/// A URL without its password: the only form that is logged, displayed or part of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayUrl(String);

impl DisplayUrl {
    /// Removes the password of the authority (`user:password@host`), and the query parameters that may contain one.
    ///
    /// Removes too much rather than too little of a malformed URL.
    pub fn new(url: &str) -> Self {
        let (mut display, rest) = split_after_password(url);
        let (base, parameters) = rest.split_at(rest.find(['?', '&']).unwrap_or(rest.len()));
        display.push_str(base);
        let is_harmless = |pair: &&str| !pair.to_ascii_lowercase().contains("pass");
        let harmless =
            parameters.get(1..).unwrap_or_default().split('&').filter(is_harmless).collect::<Vec<_>>().join("&");
        if !harmless.is_empty() {
            display.extend(parameters.chars().take(1));
            display.push_str(&harmless);
        }
        Self(display)
    }
}

/// Splits `url` after its password. Returns the part up to there, with the password masked, and the rest.
fn split_after_password(url: &str) -> (String, &str) {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => url.split_once(':').map_or((String::new(), url), |(scheme, rest)| (format!("{scheme}:"), rest)),
    };
    // The last '@' ends the password, even if the password contains an '@', '/' or '?' that should have been escaped.
    if let Some((user_info, host)) = rest.rsplit_once('@')
        && let Some((user, _password)) = user_info.split_once(':')
    {
        // A part with a '?' is not only a user, but maybe a query with a password.
        let user = user.split('?').next().unwrap_or_default();
        return (format!("{scheme}{user}:***@"), host);
    }
    (scheme, rest)
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
    #[case::password_with_question_mark("mysql://kam:s3?c@ret@db/kamailio", "mysql://kam:***@db/kamailio")]
    #[case::separators_in_a_query_password("postgres://db/k?password=s3:cret@x", "postgres://db/k:***@x")]
    #[case::path_with_ampersand("sqlite:///var/a&b.db", "sqlite:///var/a&b.db")]
    #[case::no_slashes("mysql:kam:s3cret@db/kamailio", "mysql:kam:***@db/kamailio")]
    #[case::at_sign_in_the_query("postgres://db/k?user=kam@x&password=s3cret", "postgres://db/k?user=kam@x")]
    #[case::in_the_query("postgres://db/k?user=kam&password=s3cret", "postgres://db/k?user=kam")]
    #[case::only_in_the_query("postgres://db/k?sslpassword=s3cret", "postgres://db/k")]
    fn password_of_a_url_is_never_displayed(#[case] url: &str, #[case] display: &str) {
        assert_eq!(DisplayUrl::new(url).to_string(), display);
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
    fn unusable_url_is_rejected_with_a_message_without_its_password(#[case] url: &str, #[case] error: &str) {
        let message = url.parse::<DatabaseUrl>().unwrap_err().to_string();
        assert!(message.contains(error), "{message}");
    }
}
