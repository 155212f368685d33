//! A connection to any of the three databases: queries, statements and transactions.

use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::time::timeout;

use super::dialect::Dialect;
use super::error::{Error, while_doing};
use super::timeout::{CLOSE_TIMEOUT, FILE_TIMEOUT, SERVER_TIMEOUT, with_timeout};
use crate::domain::Why;

/// An open connection.
///
/// Statements have `?` for their values, and expressions of the [`Dialect`] where the databases differ. Columns are
/// cast to bytes or to a 64-bit integer when they are read, so that only these two types have to be decoded.
pub(super) enum Connection {
    Sqlite(SqliteConnection),
    MySql(MySqlConnection),
    Postgres(PgConnection),
}

/// A value in a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum SqlValue<'a> {
    Text(&'a str),
    OptionalText(Option<&'a str>),
    Integer(i64),
}

impl<'a> From<&'a str> for SqlValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for SqlValue<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Option<String>> for SqlValue<'a> {
    fn from(text: &'a Option<String>) -> Self {
        Self::OptionalText(text.as_deref())
    }
}

impl<'a> From<Option<&'a str>> for SqlValue<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::OptionalText(text)
    }
}

impl<'a> From<&'a Option<Why>> for SqlValue<'a> {
    fn from(why: &'a Option<Why>) -> Self {
        Self::OptionalText(why.as_ref().map(Why::as_str))
    }
}

impl From<i64> for SqlValue<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// A row of a result.
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
    /// Returns a column of bytes as text, or `None` for NULL. Invalid UTF-8 becomes U+FFFD.
    pub(super) fn text(&self, column: usize) -> sqlx::Result<Option<String>> {
        let bytes: Option<Vec<u8>> = by_database!(Record, self, row => row.try_get(column)?);
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Returns a column of bytes as text, empty for NULL.
    pub(super) fn text_or_empty(&self, column: usize) -> sqlx::Result<String> {
        Ok(self.text(column)?.unwrap_or_default())
    }

    /// Returns a column of 64-bit integers, or `None` for NULL.
    pub(super) fn number(&self, column: usize) -> sqlx::Result<Option<i64>> {
        by_database!(Record, self, row => row.try_get(column))
    }

    /// Returns a column of 64-bit integers, 0 for NULL.
    pub(super) fn number_or_zero(&self, column: usize) -> sqlx::Result<i64> {
        Ok(self.number(column)?.unwrap_or_default())
    }
}

/// Creates an `sqlx::query` with its values. A macro, because the type of a query depends on the driver.
macro_rules! query {
    ($statement:expr, $values:expr) => {
        $values.iter().fold(sqlx::query(AssertSqlSafe($statement)), |query, value| match *value {
            SqlValue::Text(text) => query.bind(text.to_owned()),
            SqlValue::OptionalText(text) => query.bind(text.map(str::to_owned)),
            SqlValue::Integer(number) => query.bind(number),
        })
    };
}

impl Connection {
    /// Returns the dialect of the database.
    pub(super) const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::MySql(_) => Dialect::MySql,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Returns the rows of a SELECT.
    pub(super) async fn rows(&mut self, statement: &str, values: &[SqlValue<'_>]) -> sqlx::Result<Vec<Record>> {
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

    /// Returns the first row of a SELECT, if any.
    pub(super) async fn row(&mut self, statement: &str, values: &[SqlValue<'_>]) -> sqlx::Result<Option<Record>> {
        Ok(self.rows(statement, values).await?.into_iter().next())
    }

    /// Returns the number that a SELECT yields, 0 for NULL or without a row.
    pub(super) async fn number(&mut self, statement: &str, values: &[SqlValue<'_>]) -> sqlx::Result<i64> {
        self.row(statement, values).await?.map_or(Ok(0), |record| record.number_or_zero(0))
    }

    /// Executes a statement. Returns the number of rows that it affected.
    pub(super) async fn execute(&mut self, statement: &str, values: &[SqlValue<'_>]) -> sqlx::Result<u64> {
        let statement = self.dialect().statement(statement);
        Ok(by_database!(Self, self, connection => {
            query!(statement, values).execute(connection).await?.rows_affected()
        }))
    }

    /// Executes one or more statements without values. They are not prepared, which some (LOCK, BEGIN, DDL) cannot be.
    pub(super) async fn run(&mut self, statements: &str) -> sqlx::Result<()> {
        let statements = AssertSqlSafe(statements.to_owned());
        by_database!(Self, self, connection => {
            sqlx::raw_sql(statements).execute(connection).await?;
        });
        Ok(())
    }

    /// Runs `work` in a transaction that reads: everything is read as of one moment.
    pub(super) async fn read<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.run(self.dialect().begin_reading()).await.map_err(while_doing("begin to read"))?;
        let outcome = work(self).await;
        self.end(outcome).await
    }

    /// Runs `work` in a transaction that writes: all of it takes effect, or nothing.
    ///
    /// Only one of our hosts writes at a time, so what `work` reads (existing rows, the highest id) still holds when it
    /// writes.
    pub(super) async fn write<T>(
        &mut self,
        doing: &'static str,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let limit = self.timeout();
        let transaction = async {
            self.begin_writing().await?;
            let outcome = work(self).await;
            self.end(outcome).await
        };
        with_timeout(limit, doing, transaction).await
    }

    async fn begin_writing(&mut self) -> Result<(), Error> {
        let doing = "begin to write";
        self.run(self.dialect().begin_writing()).await.map_err(while_doing(doing))?;
        if let Some(lock) = self.dialect().lock() {
            let locked = self.rows(lock, &[]).await.map(drop).map_err(while_doing(doing));
            if locked.is_err() {
                return self.end(locked).await;
            }
        }
        Ok(())
    }

    /// Ends the transaction: commits if `outcome` is a success, else rolls back.
    async fn end<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        match outcome {
            Ok(value) => self.run("COMMIT").await.map(|()| value).map_err(while_doing("commit the transaction")),
            Err(error) => {
                // The first error is the one to report. ROLLBACK fails if the database has rolled back already (a full
                // disk), or if the connection is broken, which also ends the transaction.
                let _ = self.run("ROLLBACK").await;
                Err(error)
            }
        }
    }

    /// Returns the time limit for one operation.
    pub(super) const fn timeout(&self) -> Duration {
        match self {
            Self::Sqlite(_) => FILE_TIMEOUT,
            Self::MySql(_) | Self::Postgres(_) => SERVER_TIMEOUT,
        }
    }

    /// Checks that the server replies. Does nothing for a file.
    pub(super) async fn ping(&mut self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::MySql(connection) => connection.ping().await,
            Self::Postgres(connection) => connection.ping().await,
        }
    }

    /// Closes the connection cleanly, or drops it after [`CLOSE_TIMEOUT`].
    pub(super) async fn close(self) {
        let closed = match self {
            // Without a limit: the last connection to a SQLite file writes its log back into it.
            Self::Sqlite(connection) => connection.close().await,
            Self::MySql(connection) => timeout(CLOSE_TIMEOUT, connection.close()).await.unwrap_or(Ok(())),
            Self::Postgres(connection) => timeout(CLOSE_TIMEOUT, connection.close()).await.unwrap_or(Ok(())),
        };
        if let Err(error) = closed {
            tracing::debug!("closing the database: {error}");
        }
    }
}
