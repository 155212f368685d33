//! The database: the policy rows that it shares with Kamailio, and our own tables beside them.
//!
//! What is read and written is the same in SQLite, MySQL and PostgreSQL, and stands in a file for each table. Where they
//! differ is in `dialect` (the SQL), `connection` (the driver), `schema`, and in how a change is noticed: `sqlite` and
//! `server`.

mod cluster_table;
mod connection;
mod dialect;
mod entries;
mod event_table;
mod exemption_table;
mod file;
mod look;
mod node_table;
mod policy_table;
pub mod rows;
mod schema;
mod server;
mod sqlite;
mod url;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use self::connection::{Connection, within};
pub use self::look::{Look, look};
pub use self::rows::Row;
use self::server::ServerWatch;
use self::sqlite::FileWatch;
use self::url::Target;
pub use self::url::{DatabaseUrl, DatabaseUrlError, DisplayUrl, GivenUrl};
use crate::domain::{
    Alarm, Change, Changed, Entry, Event, Exemption, InvalidEntry, Node, NodeName, NodeReport, Origin, Policy, Switch,
    TableName, TagSecret,
};

/// An open database whose schema is ours, as the host `node` uses it.
pub struct Store {
    connection: Connection,
    watch: Watch,
    table: TableName,
    node: NodeName,
    /// How long one thing may take.
    patience: Duration,
}

/// How a change is noticed.
enum Watch {
    File(FileWatch),
    Server(ServerWatch),
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
    /// The last switch of this host: of all hosts, or of this one alone.
    pub event: Option<Event>,
    /// Number of the last event of any kind; 0 without any.
    pub last_event: i64,
}

impl Reading {
    /// The policy that it states. Where something cannot be used what `last`, the policy in force, has of it stays, and
    /// an alarm says so.
    pub fn policy(&self, node: &NodeName, last: &Policy) -> (Policy, Vec<Alarm>) {
        let (mut policy, mut alarms) = rows::interpret(&self.rows, Some(node), last);
        entries::interpret(&self.bypass, &self.emergency, &mut policy, &mut alarms);
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
    /// The server does not answer, or takes too long.
    #[error("cannot {doing}: no answer within {patience:?}")]
    Slow {
        /// What was tried.
        doing: &'static str,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The connection that watches for changes has ended.
    #[error("the connection that watches it was closed by the server")]
    Unwatched,
    /// The connection was lost while nothing was done with it.
    #[error("the connection was lost: {0}")]
    Stale(#[source] sqlx::Error),
    /// Another host is at work on the schema.
    #[error("another host is bringing the schema up to date, and takes long; try again")]
    BeingMigrated,
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

    /// Whether the connection is as good as before: the database has answered, and said no.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Sql { source: sqlx::Error::Database(_), .. })
    }

    /// Whether the database has to be opened anew before anything can be written: nothing was.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Replaced { .. } | Self::NoFile { .. } | Self::Stale(_))
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
    pub async fn open(
        url: &DatabaseUrl,
        table: &TableName,
        node: &NodeName,
        missing: Missing,
    ) -> Result<(Self, Vec<String>), Error> {
        let (connection, watch, steps) = match &url.target {
            Target::Sqlite(options) => {
                let (connection, watch, steps) = sqlite::open(options, table, missing).await?;
                (connection, Watch::File(watch), steps)
            }
            Target::MySql(options) => {
                let (connection, watch, steps) = server::open_mysql(options, table, missing).await?;
                (connection, Watch::Server(watch), steps)
            }
            Target::Postgres(options) => {
                let (connection, watch, steps) = server::open_postgres(options, table, missing).await?;
                (connection, Watch::Server(watch), steps)
            }
        };
        let patience = connection.patience();
        Ok((Self { connection, watch, table: table.clone(), node: node.clone(), patience }, steps))
    }

    /// Reads the policy rows, the exemptions and the last switch, as they were at one moment.
    pub async fn read(&mut self) -> Result<Reading, Error> {
        within(self.patience, "read it", self.read_at_once()).await
    }

    async fn read_at_once(&mut self) -> Result<Reading, Error> {
        let version = match &self.watch {
            Watch::File(watch) => Some(watch.before_reading(&mut self.connection).await?),
            Watch::Server(_) => None,
        };
        self.connection.begin_reading().await?;
        let read = read(&mut self.connection, &self.table, &self.node).await;
        let reading = self.connection.end(read).await?;
        if let (Watch::File(watch), Some(version)) = (&mut self.watch, version) {
            watch.after_reading(version);
        }
        Ok(reading)
    }

    /// Whether it is on a server, where writers wait for each other.
    pub fn is_server(&self) -> bool {
        matches!(self.watch, Watch::Server(_))
    }

    /// Returns when the database may say something else than at the last [`read`](Self::read).
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn changed(&mut self) -> Result<(), Error> {
        match &mut self.watch {
            Watch::File(watch) => watch.changed(&mut self.connection).await,
            Watch::Server(watch) => watch.changed().await,
        }
    }

    /// Writes the rows of a switch and its event, in one transaction. Returns the number of the event.
    pub async fn switch(&mut self, switch: &Switch) -> Result<i64, Error> {
        let (connection, table, _) = self.writable().await?;
        let work = async |connection: &mut Connection| policy_table::switch(connection, table, switch).await;
        connection.write("write the policy rows", work).await
    }

    /// Adds or removes exemptions and writes the event, in one transaction; all of it or nothing.
    pub async fn change(&mut self, change: &Change) -> Result<Changed, Error> {
        let (connection, ..) = self.writable().await?;
        let work = async |connection: &mut Connection| exemption_table::change(connection, change).await;
        connection.write("write the exemptions", work).await
    }

    /// Ends maintenance in the table if its planned end is over. Whether it did; another host may have been first.
    pub async fn end_as_planned(&mut self, origin: &Origin) -> Result<bool, Error> {
        let (connection, table, _) = self.writable().await?;
        let work = async |connection: &mut Connection| policy_table::end_as_planned(connection, table, origin).await;
        connection.write("end maintenance as planned", work).await
    }

    /// Writes an event for a flag that was changed by other means, unless another host has.
    pub async fn note_changes_from_outside(&mut self, origin: &Origin) -> Result<(), Error> {
        let (connection, table, node) = self.writable().await?;
        let work = async |connection: &mut Connection| {
            event_table::note_changes_from_outside(connection, table, origin, node).await
        };
        connection.write("write the event", work).await
    }

    /// The entries of a table of exemptions.
    pub async fn list(&mut self, exemption: Exemption) -> Result<Vec<Entry>, Error> {
        within(self.patience, "read the exemptions", exemption_table::list(&mut self.connection, exemption)).await
    }

    /// The last `limit` events, the newest first.
    pub async fn history(&mut self, limit: u32) -> Result<Vec<Event>, Error> {
        within(self.patience, "read the events", event_table::list(&mut self.connection, limit)).await
    }

    /// The hosts that share the database, by name.
    pub async fn nodes(&mut self) -> Result<Vec<Node>, Error> {
        within(self.patience, "read the hosts", node_table::list(&mut self.connection)).await
    }

    /// Tells the other hosts what this one has in force; `running` is false at the end of its daemon.
    pub async fn report(&mut self, report: &NodeReport, running: bool) -> Result<(), Error> {
        let work = node_table::report(&mut self.connection, &self.node, report, running);
        within(self.patience, "tell the other hosts", work).await
    }

    /// The cluster's To tag; `proposed` becomes it if there is none yet.
    pub async fn tag(&mut self, proposed: &TagSecret) -> Result<TagSecret, Error> {
        within(self.patience, "read the cluster's To tag", cluster_table::tag(&mut self.connection, proposed)).await
    }

    /// Closes the database in good order.
    pub async fn close(self) {
        drop(self.watch);
        self.connection.close().await;
    }

    /// What is written with, if what is written now will be kept: a file may have been replaced, and a server that nobody
    /// has asked for a day may have ended the connection.
    async fn writable(&mut self) -> Result<(&mut Connection, &TableName, &NodeName), Error> {
        match &self.watch {
            Watch::File(watch) => watch.same()?,
            Watch::Server(_) => {
                let ping = async { self.connection.ping().await.map_err(Error::Stale) };
                within(self.patience, "reach it", ping).await?;
            }
        }
        Ok((&mut self.connection, &self.table, &self.node))
    }
}

async fn read(connection: &mut Connection, table: &TableName, node: &NodeName) -> Result<Reading, Error> {
    Ok(Reading {
        rows: policy_table::read(connection, table).await?,
        event: event_table::last_switch(connection, node).await?,
        last_event: event_table::last(connection).await?,
        bypass: exemption_table::texts(connection, Exemption::Bypass).await?,
        emergency: exemption_table::texts(connection, Exemption::Emergency).await?,
    })
}

#[cfg(test)]
mod tests;
