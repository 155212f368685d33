//! The name of the table that holds the policy rows.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

/// A table name that is an SQL identifier in every database: ASCII letters, digits and underscores, not a digit first,
/// at most 63 bytes (PostgreSQL truncates longer names).
///
/// A statement has no placeholder for the name of a table, so the name has to be safe as it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TableName(String);

/// The error of a text that is not a [`TableName`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TableNameError {
    /// The text is not an identifier.
    #[error("{0:?} is not a table name: at most 63 letters, digits and underscores, not a digit first")]
    NotAnIdentifier(String),
    /// The name is reserved.
    #[error("{0:?} cannot hold the policy: names that begin with sqlite_ or sip_filter_ are reserved")]
    Reserved(String),
}

impl TableName {
    /// Maximum length in bytes.
    const MAX: usize = 63;

    /// Returns the name as text.
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
    fn table_name_is_an_identifier_that_is_not_reserved(#[case] name: &str, #[case] valid: bool) {
        assert_eq!(name.parse::<TableName>().is_ok(), valid);
    }
}
