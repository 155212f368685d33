//! The name of the table that holds the policy rows.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

/// A table name that is an SQL identifier in every database, so that it can stand in a statement.
///
/// A statement has no placeholder for a table's name, so it is checked here, once: ASCII letters, digits and
/// underscores, not starting with a digit, at most 63 bytes (PostgreSQL cuts off what is longer).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TableName(String);

/// A name that cannot be a table's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TableNameError {
    /// Not an identifier.
    #[error("{0:?} is not a table name: letters, digits and underscores, not a digit first, at most 63 of them")]
    NotAnIdentifier(String),
    /// Taken by others.
    #[error("{0:?} cannot hold the policy: names with sqlite_ and sip_filter_ in front are taken")]
    Reserved(String),
}

impl TableName {
    const MAX: usize = 63;

    /// The name, as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TableName {
    fn default() -> Self {
        Self("htable_config".into())
    }
}

impl FromStr for TableName {
    type Err = TableNameError;

    fn from_str(name: &str) -> Result<Self, TableNameError> {
        let identifier = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.as_bytes().first().is_some_and(|first| !first.is_ascii_digit());
        if !identifier || name.len() > Self::MAX {
            return Err(TableNameError::NotAnIdentifier(name.into()));
        }
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("sqlite_") || lower.starts_with("sip_filter_") {
            return Err(TableNameError::Reserved(name.into()));
        }
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for TableName {
    type Error = TableNameError;

    fn try_from(name: String) -> Result<Self, TableNameError> {
        name.parse()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::TableName;

    #[rstest]
    #[case::ours("htable_config", true)]
    #[case::kamailio("htable", true)]
    #[case::longest(&"t".repeat(63), true)]
    #[case::too_long(&"t".repeat(64), false)]
    #[case::injection("htable; DROP TABLE htable", false)]
    #[case::quote("ht\"able", false)]
    #[case::schema("main.htable", false)]
    #[case::digit_first("1htable", false)]
    #[case::not_ascii("htäble", false)]
    #[case::empty("", false)]
    #[case::sqlite("sqlite_master", false)]
    #[case::event("SIP_FILTER_event", false)]
    fn names(#[case] name: &str, #[case] valid: bool) {
        assert_eq!(name.parse::<TableName>().is_ok(), valid);
    }
}
