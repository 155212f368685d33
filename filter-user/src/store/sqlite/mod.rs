//! SQLite: the database that needs no server, shared with Kamailio and the `sqlite3` tool by its file.
//!
//! A database that we make is in WAL mode: there a reader never stands in a writer's way. With a rollback journal our
//! poll would hold a SHARED lock for some microseconds every 20 ms, and a `sqlite3` that commits just then fails with
//! "database is locked", for it has no busy timeout unless told. One that we find keeps the mode it has.

mod exemption;
mod file;
mod schema;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row as _};
use tokio::time::{Instant, sleep};

use self::file::Stamp;
use super::{Action, Change, Changed, Entry, Error, Event, Exemption, Missing, Reading, Row, Switch, TableName, sql};
use crate::responder::TagSecret;

/// How often the database is asked whether another connection has changed it: half of the 50 ms in which a row is
/// to be in force, less some for the reading itself.
const POLL: Duration = Duration::from_millis(20);
/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait for somebody else's lock. It may pass twice before an outage is told (once more after opening the
/// file anew), and that has to be within 5 s.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1500);

/// The last event that has switched maintenance; there are others, also those of later versions.
const LAST_SWITCH: &str = "SELECT id, at_ms, actor, action, why FROM sip_filter_event
    WHERE action IN ('on', 'off') ORDER BY id DESC LIMIT 1";

/// An open SQLite database.
pub struct Sqlite {
    connection: SqliteConnection,
    path: PathBuf,
    table: TableName,
    /// `PRAGMA data_version` at the last reading.
    version: Option<i64>,
    /// The file as it was when it was opened.
    stamp: Stamp,
    looked: Instant,
}

impl Sqlite {
    pub(super) async fn open(
        options: &SqliteConnectOptions,
        table: &TableName,
        missing: Missing,
    ) -> Result<(Self, Vec<String>), Error> {
        let path = options.get_filename().to_owned();
        let created = missing == Missing::Create && file::create(&path)?;
        let stamp = Stamp::of(&path)?;
        let mut options = options.clone().busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
        if created {
            options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
        }
        let mut connection = options.connect().await.map_err(sql("open it"))?;
        let mut steps = schema::migrate(&mut connection, table, missing).await?;
        if created {
            steps.insert(0, format!("made the database file {}", path.display()));
        }
        // Our own writing of the schema is not somebody else's.
        let stamp = if steps.is_empty() { stamp } else { Stamp::of(&path)? };
        let store = Self { connection, path, table: table.clone(), version: None, stamp, looked: Instant::now() };
        Ok((store, steps))
    }

    pub(super) async fn read(&mut self) -> Result<Reading, Error> {
        // Before the rows: what is committed between the two is then seen as a change.
        let version = self.data_version().await?;
        let mut transaction = self.connection.begin().await.map_err(sql("begin to read"))?;
        // The filter lets more through than our keys (LIKE knows no case), never less; a htable may be large.
        let select = format!(
            r#"SELECT CAST(key_name AS BLOB), CAST(COALESCE(key_type, 0) AS INTEGER),
                      CAST(COALESCE(value_type, 0) AS INTEGER), CAST(key_value AS BLOB)
               FROM "{}" WHERE key_name LIKE 'maint%'"#,
            self.table
        );
        let rows = sqlx::query(AssertSqlSafe(select))
            .try_map(row)
            .fetch_all(&mut *transaction)
            .await
            .map_err(sql("read the policy rows"))?;
        let event = sqlx::query(LAST_SWITCH)
            .try_map(event)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sql("read the last switch"))?;
        let bypass = exemption::texts(&mut transaction, Exemption::Bypass).await?;
        let emergency = exemption::texts(&mut transaction, Exemption::Emergency).await?;
        transaction.commit().await.map_err(sql("end reading"))?;
        self.version = Some(version);
        Ok(Reading { rows, bypass, emergency, event })
    }

    pub(super) async fn changed(&mut self) -> Result<(), Error> {
        loop {
            sleep(POLL).await;
            if self.looked.elapsed() >= LOOK {
                self.look()?;
            }
            if Some(self.data_version().await?) != self.version {
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

    /// A number that another connection's commit changes (<https://www.sqlite.org/pragma.html#pragma_data_version>).
    async fn data_version(&mut self) -> Result<i64, Error> {
        sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut self.connection).await.map_err(sql("read it"))
    }

    pub(super) async fn switch(&mut self, switch: &Switch) -> Result<(), Error> {
        // Into a file that has no name any more, the switch would be lost.
        file::same(&self.path, &self.stamp)?;
        write::switch(&mut self.connection, &self.table, switch).await
    }

    pub(super) async fn change(&mut self, change: &Change) -> Result<Changed, Error> {
        file::same(&self.path, &self.stamp)?;
        exemption::change(&mut self.connection, change).await
    }

    pub(super) async fn list(&mut self, exemption: Exemption) -> Result<Vec<Entry>, Error> {
        exemption::list(&mut self.connection, exemption).await
    }

    pub(super) async fn tag(&mut self, proposed: &TagSecret) -> Result<TagSecret, Error> {
        write::tag(&mut self.connection, proposed).await
    }

    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!("closing {}: {error}", self.path.display());
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn row(row: SqliteRow) -> sqlx::Result<Row> {
    Ok(Row {
        key: text(row.try_get(0)?),
        key_type: row.try_get(1)?,
        value_type: row.try_get(2)?,
        value: row.try_get::<Option<Vec<u8>>, _>(3)?.map(text),
    })
}

fn event(row: SqliteRow) -> sqlx::Result<Event> {
    let on = row.try_get::<&str, _>("action")? == Action::On.name();
    Ok(Event {
        id: row.try_get("id")?,
        at: Timestamp::from_millisecond(row.try_get("at_ms")?).unwrap_or(Timestamp::UNIX_EPOCH),
        actor: row.try_get("actor")?,
        action: if on { Action::On } else { Action::Off },
        why: row.try_get("why")?,
    })
}

#[cfg(test)]
mod tests;
