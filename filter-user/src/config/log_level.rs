//! The log level, for all modules or for each.

use std::str::FromStr;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// Directives for the log: `info`, or `info,filter_user::sync=debug`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LogLevel(String);

/// The error of a text that is not a [`LogLevel`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{level:?} is not a log level: {problem}; for example info, or info,filter_user::sync=debug")]
pub struct InvalidLogLevel {
    level: String,
    problem: String,
}

impl LogLevel {
    /// Returns the filter for the log.
    pub fn to_filter(&self) -> EnvFilter {
        // Loses no directive: `try_from` has parsed them all.
        EnvFilter::builder().parse_lossy(&self.0)
    }
}

impl Default for LogLevel {
    /// Returns `info`.
    fn default() -> Self {
        Self("info".into())
    }
}

impl TryFrom<String> for LogLevel {
    type Error = InvalidLogLevel;

    fn try_from(level: String) -> Result<Self, InvalidLogLevel> {
        match EnvFilter::builder().parse(&level) {
            Ok(_) => Ok(Self(level)),
            Err(error) => Err(InvalidLogLevel { level, problem: error.to_string() }),
        }
    }
}

impl FromStr for LogLevel {
    type Err = InvalidLogLevel;

    fn from_str(level: &str) -> Result<Self, InvalidLogLevel> {
        level.to_owned().try_into()
    }
}
