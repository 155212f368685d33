//! The database: the policy rows that it shares with Kamailio, and our own tables beside them.
//!
//! One file for each kind of database; [`Store`] is whichever the URL names.

mod event;
mod exemption;
pub mod rows;
mod sqlite;
mod table;
mod url;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use self::event::{Action, Event, InvalidWhy, Origin, Switch, Via};
pub use self::exemption::{Change, Changed, Edit, Entry, Exemption, InvalidEntry};
pub use self::rows::Row;
use self::sqlite::Sqlite;
pub use self::table::{TableName, TableNameError};
use self::url::Target;
pub use self::url::{DatabaseUrl, DatabaseUrlError, DisplayUrl, GivenUrl};
use crate::alarm::Alarm;
use crate::policy::Policy;
use crate::responder::TagSecret;

/// An open database whose schema is ours.
pub enum Store {
    /// SQLite, by a file.
    Sqlite(Sqlite),
}

/// What may be made when a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A database file or policy table that is not there is made, empty: no row means maintenance off.
    Create,
    /// It is an error: while maintenance is on, an empty database would end it.
    Refuse,
}

/// All that is read of the database at one time, consistent in itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The rows of the policy table that may concern us (and some that do not).
    pub rows: Vec<Row>,
    /// The entries of `sip_filter_bypass`, as they stand.
    pub bypass: Vec<String>,
    /// The entries of `sip_filter_emergency`, as they stand.
    pub emergency: Vec<String>,
    /// The last switch.
    pub event: Option<Event>,
}

impl Reading {
    /// The policy that it states. Where something cannot be used what `last`, the policy in force, has of it stays, and
    /// an alarm says so.
    pub fn policy(&self, last: &Policy) -> (Policy, Vec<Alarm>) {
        let (mut policy, mut alarms) = rows::interpret(&self.rows, last);
        exemption::interpret(&self.bypass, &self.emergency, &mut policy, &mut alarms);
        (policy, alarms)
    }
}

/// Why the database could not be used.
#[derive(Debug, Error)]
pub enum Error {
    /// The database refused something.
    #[error("cannot {doing}: {source}")]
    Sql {
        /// What was tried.
        doing: &'static str,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// The database file is not there.
    #[error("{} does not exist; put it back, or make an empty one, which says off, with `sip-filter migrate`", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// The policy table is not there.
    #[error("there is no table {table}; put it back, or make an empty one, which says off, with `sip-filter migrate`")]
    NoTable {
        /// Its name.
        table: TableName,
    },
    /// The database file was replaced, or written to other than through SQLite.
    #[error("{} was replaced", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be made or looked at.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A later version has been here.
    #[error(
        "its schema has migration {version}, which this version of sip-filter does not know; use a newer sip-filter"
    )]
    NewerSchema {
        /// The first migration that is not known.
        version: i64,
    },
    /// A migration is not what it was.
    #[error(
        "its migration {version} is not the one that this version of sip-filter would make; was it altered by hand?"
    )]
    UnknownSchema {
        /// The migration.
        version: i64,
    },
    /// A migration failed.
    #[error("cannot bring the schema up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// An entry that is to be removed, is not there, and never could be.
    #[error(transparent)]
    Entry(#[from] InvalidEntry),
    /// No more entries can be in force.
    #[error("{table} can have {most} entries (of each address family), and no more; nothing was added")]
    Full {
        /// The table.
        table: &'static str,
        /// How many fit.
        most: usize,
    },
    /// The cluster's row.
    #[error("sip_filter_cluster holds no usable To tag; delete its row, and restart all daemons")]
    Tag,
}

impl Error {
    /// Whether only a person can mend it, by another version: such a database is left alone.
    pub fn is_foreign_schema(&self) -> bool {
        matches!(self, Self::NewerSchema { .. } | Self::UnknownSchema { .. })
    }

    /// Whether what was asked for is wrong, and the database is well.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Entry(_) | Self::Full { .. })
    }
}

/// Puts what was tried into the error.
fn sql(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Sql { doing, source }
}

impl Store {
    /// Opens the database and brings our tables up to date.
    ///
    /// Returns what it did to the schema too, a line for each step; none if all was there.
    pub async fn open(url: &DatabaseUrl, table: &TableName, missing: Missing) -> Result<(Self, Vec<String>), Error> {
        match &url.target {
            Target::Sqlite(options) => {
                let (store, steps) = Sqlite::open(options, table, missing).await?;
                Ok((Self::Sqlite(store), steps))
            }
        }
    }

    /// Reads the policy rows, the exemptions and the last switch, as they were at one moment.
    pub async fn read(&mut self) -> Result<Reading, Error> {
        match self {
            Self::Sqlite(store) => store.read().await,
        }
    }

    /// Returns when the database may say something else than at the last [`read`](Self::read).
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn changed(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(store) => store.changed().await,
        }
    }

    /// Writes the rows of a switch and its event, in one transaction.
    pub async fn switch(&mut self, switch: &Switch) -> Result<(), Error> {
        match self {
            Self::Sqlite(store) => store.switch(switch).await,
        }
    }

    /// Adds or removes exemptions and writes the event, in one transaction; all of it or nothing.
    pub async fn change(&mut self, change: &Change) -> Result<Changed, Error> {
        match self {
            Self::Sqlite(store) => store.change(change).await,
        }
    }

    /// The entries of a table of exemptions.
    pub async fn list(&mut self, exemption: Exemption) -> Result<Vec<Entry>, Error> {
        match self {
            Self::Sqlite(store) => store.list(exemption).await,
        }
    }

    /// The cluster's To tag; `proposed` becomes it if there is none yet.
    pub async fn tag(&mut self, proposed: &TagSecret) -> Result<TagSecret, Error> {
        match self {
            Self::Sqlite(store) => store.tag(proposed).await,
        }
    }

    /// Closes the database in good order.
    pub async fn close(self) {
        match self {
            Self::Sqlite(store) => store.close().await,
        }
    }
}
