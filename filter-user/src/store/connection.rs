//! A connection to any of the three databases: one way to ask, to write, and to do both as one transaction.

use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::time::timeout;

use super::dialect::Dialect;
use super::{Error, sql};
use crate::domain::Why;

/// How long a server may take for one thing that it is asked. Twice that, and the pause between two polls, has to be
/// below the 5 s after which an outage is to be told.
pub(super) const PATIENCE: Duration = Duration::from_millis(1500);
/// How long to wait for the good order in which a connection is closed.
const FAREWELL: Duration = Duration::from_millis(300);
/// SQLite waits for locks by itself; only a file system that hangs takes longer.
const PATIENCE_WITH_A_FILE: Duration = Duration::from_secs(10);

/// An open connection.
///
/// Statements are written with `?` for their values and with the [`Dialect`]'s expressions where the databases differ.
/// Columns that are read are cast to octets or to a 64-bit integer, so that there are only these two to decode.
pub(super) enum Connection {
    Sqlite(SqliteConnection),
    MySql(MySqlConnection),
    Postgres(PgConnection),
}

/// A value of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    OptionalText(Option<&'a str>),
    Integer(i64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Option<String>> for Value<'a> {
    fn from(text: &'a Option<String>) -> Self {
        Self::OptionalText(text.as_deref())
    }
}

impl<'a> From<&'a Option<Why>> for Value<'a> {
    fn from(why: &'a Option<Why>) -> Self {
        Self::OptionalText(why.as_ref().map(Why::as_str))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// A row that was read.
pub(super) enum Record {
    Sqlite(SqliteRow),
    MySql(MySqlRow),
    Postgres(PgRow),
}

macro_rules! by_database {
    ($of:ident, $self:expr, $bound:ident => $body:expr) => {
        match $self {
            $of::Sqlite($bound) => $body,
            $of::MySql($bound) => $body,
            $of::Postgres($bound) => $body,
        }
    };
}

impl Record {
    /// A column of octets as text, `None` for NULL; octets that are not UTF-8 become U+FFFD.
    pub(super) fn text(&self, column: usize) -> sqlx::Result<Option<String>> {
        let octets: Option<Vec<u8>> = by_database!(Record, self, row => row.try_get(column)?);
        Ok(octets.map(|octets| String::from_utf8_lossy(&octets).into_owned()))
    }

    /// The same where NULL is as good as nothing.
    pub(super) fn text_or_empty(&self, column: usize) -> sqlx::Result<String> {
        Ok(self.text(column)?.unwrap_or_default())
    }

    /// A column that is a number, `None` for NULL.
    pub(super) fn number(&self, column: usize) -> sqlx::Result<Option<i64>> {
        by_database!(Record, self, row => row.try_get(column))
    }

    /// The same where NULL is as good as zero.
    pub(super) fn number_or_zero(&self, column: usize) -> sqlx::Result<i64> {
        Ok(self.number(column)?.unwrap_or_default())
    }
}

/// `sqlx::query` with its values, for each driver has a type of its own for it.
macro_rules! query {
    ($statement:expr, $values:expr) => {
        $values.iter().fold(sqlx::query(AssertSqlSafe($statement)), |query, value| match *value {
            Value::Text(text) => query.bind(text.to_owned()),
            Value::OptionalText(text) => query.bind(text.map(str::to_owned)),
            Value::Integer(number) => query.bind(number),
        })
    };
}

impl Connection {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::MySql(_) => Dialect::MySql,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The rows of a SELECT.
    pub(super) async fn rows(&mut self, statement: &str, values: &[Value<'_>]) -> sqlx::Result<Vec<Record>> {
        let statement = self.dialect().statement(statement);
        Ok(match self {
            Self::Sqlite(connection) => {
                let rows = query!(statement, values).fetch_all(connection).await?;
                rows.into_iter().map(Record::Sqlite).collect()
            }
            Self::MySql(connection) => {
                let rows = query!(statement, values).fetch_all(connection).await?;
                rows.into_iter().map(Record::MySql).collect()
            }
            Self::Postgres(connection) => {
                let rows = query!(statement, values).fetch_all(connection).await?;
                rows.into_iter().map(Record::Postgres).collect()
            }
        })
    }

    /// The first row of a SELECT, if there is one.
    pub(super) async fn row(&mut self, statement: &str, values: &[Value<'_>]) -> sqlx::Result<Option<Record>> {
        Ok(self.rows(statement, values).await?.into_iter().next())
    }

    /// The one number that a SELECT gives; zero for NULL.
    pub(super) async fn number(&mut self, statement: &str, values: &[Value<'_>]) -> sqlx::Result<i64> {
        self.row(statement, values).await?.map_or(Ok(0), |record| record.number_or_zero(0))
    }

    /// Executes a statement, and returns how many rows it has found.
    pub(super) async fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> sqlx::Result<u64> {
        let statement = self.dialect().statement(statement);
        Ok(by_database!(Self, self, connection => {
            query!(statement, values).execute(connection).await?.rows_affected()
        }))
    }

    /// Executes statements without values, several at a time, by the protocol that has no prepared statements: some
    /// (LOCK, BEGIN, DDL) cannot be prepared.
    pub(super) async fn run(&mut self, statements: &str) -> sqlx::Result<()> {
        let statements = AssertSqlSafe(statements.to_owned());
        by_database!(Self, self, connection => {
            sqlx::raw_sql(statements).execute(connection).await?;
        });
        Ok(())
    }

    /// Begins to read: what is read until [`end`](Self::end) is as it was at one moment.
    pub(super) async fn begin_reading(&mut self) -> Result<(), Error> {
        self.run(self.dialect().begin_reading()).await.map_err(sql("begin to read"))
    }

    /// Does `work` as one transaction that writes: all of it or nothing.
    pub(super) async fn write<T>(
        &mut self,
        doing: &'static str,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let patience = self.patience();
        let transaction = async {
            self.begin_writing().await?;
            let done = work(self).await;
            self.end(done).await
        };
        within(patience, doing, transaction).await
    }

    /// Begins to write: nobody else who follows our rules writes until [`end`](Self::end), so what is read meanwhile
    /// (which rows there are, the highest id) is still so when it is written.
    async fn begin_writing(&mut self) -> Result<(), Error> {
        let doing = "begin to write";
        self.run(self.dialect().begin_writing()).await.map_err(sql(doing))?;
        if let Some(lock) = self.dialect().lock() {
            let locked = self.rows(lock, &[]).await.map(drop).map_err(sql(doing));
            if locked.is_err() {
                return self.end(locked).await;
            }
        }
        Ok(())
    }

    /// Ends what was begun: for good if `outcome` is, else as if it had not been.
    pub(super) async fn end<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        match outcome {
            Ok(value) => self.run("COMMIT").await.map(|()| value).map_err(sql("end the transaction")),
            Err(error) => {
                // The first error is the one to tell. A transaction that the database has rolled back by itself (a full
                // disk) fails here; one of a connection that is broken ends with it.
                let _ = self.run("ROLLBACK").await;
                Err(error)
            }
        }
    }

    /// How long one thing may take.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Sqlite(_) => PATIENCE_WITH_A_FILE,
            Self::MySql(_) | Self::Postgres(_) => PATIENCE,
        }
    }

    /// Whether the server still answers; a file always does.
    pub(super) async fn ping(&mut self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::MySql(connection) => connection.ping().await,
            Self::Postgres(connection) => connection.ping().await,
        }
    }

    /// Closes it in good order, if that is possible at once.
    pub(super) async fn close(self) {
        let closed = match self {
            // The last one to close writes the log of a SQLite database back into its file: nothing to cut short.
            Self::Sqlite(connection) => connection.close().await,
            Self::MySql(connection) => timeout(FAREWELL, connection.close()).await.unwrap_or(Ok(())),
            Self::Postgres(connection) => timeout(FAREWELL, connection.close()).await.unwrap_or(Ok(())),
        };
        if let Err(error) = closed {
            tracing::debug!("closing the database: {error}");
        }
    }
}

/// Waits for `work` as long as `patience` says.
pub(super) async fn within<T>(
    patience: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(patience, work).await.unwrap_or(Err(Error::Slow { doing, patience }))
}
