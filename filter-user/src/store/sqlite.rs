//! SQLite: the database without a server. Kamailio and the `sqlite3` tool share its file.
//!
//! A file that we create is in WAL mode, where readers never block a writer. With a rollback journal our poll would
//! hold a SHARED lock for some microseconds every 20 ms, and a `sqlite3` that commits just then would fail with
//! "database is locked", because it has no busy timeout by default. An existing file keeps its mode.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::error::{Error, while_doing};
use super::file::{self, FileId};
use super::if_missing::IfMissing;
use super::schema;
use super::timeout::BUSY_TIMEOUT;
use crate::domain::TableName;

/// Interval between two queries for commits of other connections. A row has to be in force within 50 ms: this is half
/// of that, less some time to read it.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Interval between two checks of the file's metadata.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A watch on a database file for changes by others.
pub(super) struct FileWatch {
    path: PathBuf,
    /// `PRAGMA data_version` at the last reading.
    version: Option<i64>,
    /// Identity of the file when it was opened.
    id: FileId,
    checked: Instant,
}

/// Opens the file. Also returns the steps that bringing it up to date took, one line each.
pub(super) async fn open(
    options: &SqliteConnectOptions,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<(Connection, FileWatch, Vec<String>), Error> {
    let path = options.get_filename().to_owned();
    let is_new = if_missing == IfMissing::Create && file::create(&path)?;
    let id = FileId::read(&path)?;
    let mut options = options.clone().busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
    if is_new {
        options = options.journal_mode(SqliteJournalMode::Wal);
    }
    let mut connection = options.connect().await.map_err(while_doing("open it"))?;
    let mut steps = schema::migrate_sqlite(&mut connection, table, if_missing).await?;
    if is_new {
        steps.insert(0, format!("created the database file {}", path.display()));
    }
    // Our own changes of the schema must not count as a modification by others.
    let id = if steps.is_empty() { id } else { FileId::read(&path)? };
    Ok((Connection::Sqlite(connection), FileWatch { path, version: None, id, checked: Instant::now() }, steps))
}

impl FileWatch {
    /// Returns the number that identifies the last commit of another connection. Fails if the file was replaced: it is
    /// checked here too, because commands without a pause keep [`changed`](Self::changed) from doing so.
    pub(super) async fn version(&mut self, connection: &mut Connection) -> Result<i64, Error> {
        self.check_file_if_due()?;
        data_version(connection).await
    }

    /// Records that the database was read, beginning at `version`.
    pub(super) const fn record_read(&mut self, version: i64) {
        self.version = Some(version);
    }

    /// Waits until another connection has committed something since the recorded reading.
    pub(super) async fn changed(&mut self, connection: &mut Connection) -> Result<(), Error> {
        loop {
            sleep(POLL_INTERVAL).await;
            self.check_file_if_due()?;
            if Some(data_version(connection).await?) != self.version {
                return Ok(());
            }
        }
    }

    /// Detects a file that was deleted, replaced or overwritten. Our connection would go on with the old file, or with
    /// what it has cached of it.
    fn check_file_if_due(&mut self) -> Result<(), Error> {
        if self.checked.elapsed() < FILE_CHECK_INTERVAL {
            return Ok(());
        }
        self.checked = Instant::now();
        self.id.ensure_unmodified(&self.path)
    }

    /// Fails if the file was deleted or replaced: whatever is written to the old file would be lost.
    pub(super) fn ensure_same_file(&self) -> Result<(), Error> {
        self.id.ensure_same(&self.path)
    }
}

/// Returns a number that each commit of another connection changes
/// (<https://www.sqlite.org/pragma.html#pragma_data_version>).
async fn data_version(connection: &mut Connection) -> Result<i64, Error> {
    connection.number("PRAGMA data_version", &[]).await.map_err(while_doing("read it"))
}
