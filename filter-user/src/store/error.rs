//! The errors of the store, and what a caller can do about them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::list_names::ListNames;
use crate::domain::{EntryList, InvalidEntry, TableName};

/// An error of the store.
///
/// No message names the database. Callers do, without its password.
#[derive(Debug, Error)]
pub enum Error {
    /// A statement failed.
    #[error("cannot {doing}: {source}")]
    Sql {
        /// Operation that failed.
        doing: &'static str,
        /// Error of the driver.
        source: sqlx::Error,
    },
    /// The database did not reply in time.
    #[error("cannot {doing}: no reply within {limit:?}")]
    Timeout {
        /// Operation that failed.
        doing: &'static str,
        /// Time limit.
        limit: Duration,
    },
    /// The connection that watches for changes has ended.
    #[error("the server closed the connection that watches for changes")]
    Unwatched,
    /// The connection was lost while it was idle.
    #[error("the connection was lost: {0}")]
    Stale(#[source] sqlx::Error),
    /// Another host is bringing the schema up to date.
    #[error("another host is still bringing the schema up to date; try again")]
    BeingMigrated,
    /// The database file does not exist.
    #[error(
        "{} does not exist; restore it, or create an empty one, with maintenance off, by `sip-filter migrate`",
        path.display()
    )]
    NoFile {
        /// Path of the file.
        path: PathBuf,
    },
    /// The policy table does not exist.
    #[error(
        "there is no table {table}; restore it, or create an empty one, with maintenance off, by `sip-filter migrate`"
    )]
    NoTable {
        /// Name of the table.
        table: TableName,
    },
    /// The database file was replaced, or modified from outside.
    #[error("{} was replaced or overwritten", path.display())]
    Replaced {
        /// Path of the file.
        path: PathBuf,
    },
    /// The database file cannot be created or inspected.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// Operation that failed.
        doing: &'static str,
        /// Path of the file or directory.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A later version of sip-filter has altered the schema.
    #[error(
        "its schema has migration {version}, which this version of sip-filter does not know; use a newer sip-filter"
    )]
    NewerSchema {
        /// First unknown migration.
        version: i64,
    },
    /// A migration differs from the one of this version.
    #[error("its migration {version} differs from that of this version of sip-filter; was it altered by hand?")]
    UnknownSchema {
        /// Number of the migration.
        version: i64,
    },
    /// A migration failed.
    #[error("cannot bring the schema up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// An entry to remove is not in the table, and is not a valid entry.
    #[error(transparent)]
    Entry(#[from] InvalidEntry),
    /// A list has as many entries as can be in force.
    #[error(
        "{} is full: at most {} entries{} can be in force; nothing was added",
        ListNames::of(*.0).table,
        .0.max_in_force(),
        if .0.has_prefixes() { " of each address family" } else { "" }
    )]
    Full(EntryList),
    /// The cluster's row is damaged.
    #[error("the row of sip_filter_cluster holds no valid To tag; delete it, and restart the daemons of all hosts")]
    Tag,
}

/// A caller's remedy for an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Keep the connection: the database replied, and rejected the statement.
    KeepConnection,
    /// Open the database again and repeat the operation: nothing was written.
    Retry,
    /// Open the database again. Whether the last write was committed is unknown, so it must not be repeated.
    Reopen,
    /// Reject the request: it is invalid, and the database is fine.
    Reject,
    /// Leave the database alone: this takes another version of sip-filter, or an operator.
    GiveUp,
}

impl Error {
    /// Returns what the caller can do.
    pub const fn recovery(&self) -> Recovery {
        match self {
            Self::Sql { source: sqlx::Error::Database(_), .. } => Recovery::KeepConnection,
            Self::Stale(_) | Self::NoFile { .. } | Self::Replaced { .. } => Recovery::Retry,
            Self::Entry(_) | Self::Full(_) => Recovery::Reject,
            Self::NewerSchema { .. } | Self::UnknownSchema { .. } => Recovery::GiveUp,
            Self::Sql { .. }
            | Self::Timeout { .. }
            | Self::Unwatched
            | Self::BeingMigrated
            | Self::NoTable { .. }
            | Self::File { .. }
            | Self::Migrate(_)
            | Self::Tag => Recovery::Reopen,
        }
    }
}

/// Returns a function that wraps an error of the driver. `doing` completes the sentence "cannot …".
pub(super) fn while_doing(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Sql { doing, source }
}
