//! SQLite: the database that needs no server, shared with Kamailio and the `sqlite3` tool by its file.
//!
//! A database that we make is in WAL mode: there a reader never stands in a writer's way. With a rollback journal our
//! poll would hold a SHARED lock for some microseconds every 20 ms, and a `sqlite3` that commits just then fails with
//! "database is locked", for it has no busy timeout unless told. One that we find keeps the mode it has.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::file::{self, Stamp};
use super::{Error, Missing, schema, sql};
use crate::domain::TableName;

/// How often the database is asked whether another connection has changed it: half of the 50 ms in which a row is
/// to be in force, less some for the reading itself.
const POLL: Duration = Duration::from_millis(20);
/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait for somebody else's lock. It may pass twice before an outage is told (once more after opening the
/// file anew), and that has to be within 5 s.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(1500);

/// The file, watched for changes that are not ours.
pub(super) struct FileWatch {
    path: PathBuf,
    /// `PRAGMA data_version` at the last reading.
    version: Option<i64>,
    /// The file as it was when it was opened.
    stamp: Stamp,
    looked: Instant,
}

/// Opens the file, and makes what is missing if that is wanted. Also returns what it did, a line for each step.
pub(super) async fn open(
    options: &SqliteConnectOptions,
    table: &TableName,
    missing: Missing,
) -> Result<(Connection, FileWatch, Vec<String>), Error> {
    let path = options.get_filename().to_owned();
    let created = missing == Missing::Create && file::create(&path)?;
    let stamp = Stamp::of(&path)?;
    let mut options = options.clone().busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
    if created {
        options = options.journal_mode(SqliteJournalMode::Wal);
    }
    let mut connection = options.connect().await.map_err(sql("open it"))?;
    let mut steps = schema::sqlite(&mut connection, table, missing).await?;
    if created {
        steps.insert(0, format!("made the database file {}", path.display()));
    }
    // Our own writing of the schema is not somebody else's.
    let stamp = if steps.is_empty() { stamp } else { Stamp::of(&path)? };
    Ok((Connection::Sqlite(connection), FileWatch { path, version: None, stamp, looked: Instant::now() }, steps))
}

impl FileWatch {
    /// Before a reading: what is committed after this counts as a change.
    pub(super) async fn before_reading(&self, connection: &mut Connection) -> Result<i64, Error> {
        data_version(connection).await
    }

    /// After a reading that began with `version`.
    pub(super) fn after_reading(&mut self, version: i64) {
        self.version = Some(version);
    }

    pub(super) async fn changed(&mut self, connection: &mut Connection) -> Result<(), Error> {
        loop {
            sleep(POLL).await;
            if self.looked.elapsed() >= LOOK {
                self.look()?;
            }
            if Some(data_version(connection).await?) != self.version {
                return Ok(());
            }
        }
    }

    /// Notices a file that was deleted, replaced or overwritten. Our connection would go on with the old one, or
    /// with what it has cached of it.
    fn look(&mut self) -> Result<(), Error> {
        self.looked = Instant::now();
        if Stamp::of(&self.path)? == self.stamp { Ok(()) } else { Err(Error::Replaced { path: self.path.clone() }) }
    }

    /// Fails if the file is another by now: what is written into one that has no name any more would be lost.
    pub(super) fn same(&self) -> Result<(), Error> {
        file::same(&self.path, &self.stamp)
    }
}

/// A number that another connection's commit changes (<https://www.sqlite.org/pragma.html#pragma_data_version>).
async fn data_version(connection: &mut Connection) -> Result<i64, Error> {
    connection.number("PRAGMA data_version", &[]).await.map_err(sql("read it"))
}
