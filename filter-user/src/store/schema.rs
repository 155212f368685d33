//! The schema: Kamailio's table under its name of choice, and the migrations of our own tables.

use std::time::Duration;

use sqlx::migrate::{Migrate, Migration, MigrationType, Migrator};
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, SqlSafeStr};
use tracing::warn;

use super::connection::{Connection, PATIENCE, within};
use super::dialect::Dialect;
use super::{Error, Missing, sql};
use crate::domain::TableName;

/// Which migrations have been made. Not sqlx's `_sqlx_migrations`: the database may be another program's too.
const MIGRATIONS_TABLE: &str = "sip_filter_migration";
const READING: &str = "read the schema";
const DOING: &str = "bring the schema up to date";
/// How long a server may take to make what is missing: others may be at work on its tables.
const MAKING: Duration = Duration::from_secs(30);
/// How long another host may take to do the same at the same time, before we give up.
const LOCK_SECONDS: u32 = 10;

/// The files of one kind of database.
macro_rules! files {
    ($folder:literal) => {
        Files {
            htable: include_str!(concat!("../../../migrations/", $folder, "/htable.sql")),
            migrations: [
                include_str!(concat!("../../../migrations/", $folder, "/0001_events_and_cluster.sql")),
                include_str!(concat!("../../../migrations/", $folder, "/0002_exemptions.sql")),
                include_str!(concat!("../../../migrations/", $folder, "/0003_nodes.sql")),
            ],
        }
    };
}

/// What each migration makes.
const NAMES: [&str; 3] = ["events and cluster", "exemptions", "nodes"];

struct Files {
    /// Kamailio's table, with `{table}` for its name.
    htable: &'static str,
    migrations: [&'static str; 3],
}

impl Files {
    fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Sqlite => files!("sqlite"),
            Dialect::MySql => files!("mysql"),
            Dialect::Postgres => files!("postgres"),
        }
    }

    fn migrator(&self) -> Migrator {
        let migrations = self.migrations.iter().zip(NAMES).zip(1..).map(|((text, name), version)| {
            Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
        });
        let mut migrator = Migrator::with_migrations(migrations.collect());
        migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
        migrator
    }

    fn htable(&self, dialect: Dialect, table: &TableName) -> String {
        self.htable.replace("{table}", &dialect.table(table))
    }
}

/// A migration that was made: its number and checksum.
type Applied = (i64, Vec<u8>);

/// The migrations that were made, if there is a table of them.
macro_rules! applied {
    ($connection:expr, $migrated:expr, $statement:expr) => {
        if $migrated {
            let applied: Vec<Applied> = sqlx::query_as($statement)
                .fetch_all(&mut *$connection)
                .await
                .map_err(sql("read the schema's version"))?;
            applied
        } else {
            Vec::new()
        }
    };
}

/// What has to be done.
pub(super) struct Plan {
    /// A line for each step; none if all is there.
    steps: Vec<String>,
    /// The last migration that was made; 0 if none was.
    pub(super) version: i64,
    /// The last one that we make.
    pub(super) latest: i64,
}

/// Looks what has to be done, and does nothing.
pub(super) async fn plan(connection: &mut Connection, table: &TableName, missing: Missing) -> Result<Plan, Error> {
    let patience = connection.patience();
    let migrator = Files::of(connection.dialect()).migrator();
    let plan = async {
        match connection {
            Connection::Sqlite(connection) => plan_sqlite(connection, &migrator, table, missing).await,
            Connection::MySql(connection) => plan_mysql(connection, &migrator, table, missing).await,
            Connection::Postgres(connection) => plan_postgres(connection, &migrator, table, missing).await,
        }
    };
    within(patience, READING, plan).await
}

fn plan_from(
    migrator: &Migrator,
    applied: &[Applied],
    has_table: bool,
    table: &TableName,
    missing: Missing,
) -> Result<Plan, Error> {
    check(migrator, applied)?;
    let mut steps = Vec::new();
    if !has_table {
        match missing {
            Missing::Create => steps.push(format!("made the table {table}")),
            Missing::Refuse => return Err(Error::NoTable { table: table.clone() }),
        }
    }
    let pending = migrator.iter().filter(|migration| !applied.iter().any(|(version, _)| *version == migration.version));
    steps.extend(pending.map(|migration| format!("made migration {}, {}", migration.version, migration.description)));
    let version = applied.iter().map(|(version, _)| *version).max().unwrap_or(0);
    let latest = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    Ok(Plan { steps, version, latest })
}

/// Refuses a schema that another version of us has made.
fn check(migrator: &Migrator, applied: &[Applied]) -> Result<(), Error> {
    for (version, checksum) in applied {
        match migrator.iter().find(|migration| migration.version == *version) {
            None => return Err(Error::NewerSchema { version: *version }),
            Some(migration) if migration.checksum[..] != checksum[..] => {
                return Err(Error::UnknownSchema { version: *version });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Makes what is missing in SQLite, and says what it made. It takes no write lock if nothing is.
pub(super) async fn sqlite(
    connection: &mut SqliteConnection,
    table: &TableName,
    missing: Missing,
) -> Result<Vec<String>, Error> {
    let files = Files::of(Dialect::Sqlite);
    let migrator = files.migrator();
    let steps = plan_sqlite(connection, &migrator, table, missing).await?.steps;
    if steps.is_empty() {
        return Ok(steps);
    }
    // One transaction for all of it, which also keeps a second process from doing the same at the same time (sqlx's own
    // lock is empty for SQLite). Its inner ones become savepoints.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(sql(DOING))?;
    if missing == Missing::Create {
        let htable = files.htable(Dialect::Sqlite, table);
        sqlx::raw_sql(AssertSqlSafe(htable)).execute(&mut *transaction).await.map_err(sql(DOING))?;
    }
    migrator.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await.map_err(sql(DOING))?;
    Ok(steps)
}

async fn plan_sqlite(
    connection: &mut SqliteConnection,
    migrator: &Migrator,
    table: &TableName,
    missing: Missing,
) -> Result<Plan, Error> {
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        .fetch_all(&mut *connection)
        .await
        .map_err(sql(READING))?;
    let exists = |name: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(name));
    let select = "SELECT version, checksum FROM sip_filter_migration ORDER BY version";
    let applied = applied!(connection, exists(MIGRATIONS_TABLE), select);
    plan_from(migrator, &applied, exists(table.as_str()), table, missing)
}

/// Makes what is missing in MySQL or MariaDB, and says what it made.
pub(super) async fn mysql(
    connection: &mut MySqlConnection,
    table: &TableName,
    missing: Missing,
) -> Result<Vec<String>, Error> {
    let files = Files::of(Dialect::MySql);
    let migrator = files.migrator();
    let steps = within(PATIENCE, READING, plan_mysql(connection, &migrator, table, missing)).await?.steps;
    if steps.is_empty() {
        return Ok(steps);
    }
    within(MAKING, DOING, make_mysql(connection, &files, &migrator, table, missing)).await
}

/// There each CREATE TABLE is committed at once. So every statement of a migration can be repeated, and one that was cut
/// short (its row says so) is made again.
async fn make_mysql(
    connection: &mut MySqlConnection,
    files: &Files,
    migrator: &Migrator,
    table: &TableName,
    missing: Missing,
) -> Result<Vec<String>, Error> {
    let lock = format!("SELECT GET_LOCK(LEFT(CONCAT('sip_filter.', DATABASE()), 64), {LOCK_SECONDS})");
    let locked: Option<i64> =
        sqlx::query_scalar(AssertSqlSafe(lock)).fetch_one(&mut *connection).await.map_err(sql(DOING))?;
    if locked != Some(1) {
        return Err(Error::BeingMigrated);
    }
    // Another host may have done it meanwhile. The lock ends with the connection, if not before.
    let steps = plan_mysql(connection, migrator, table, missing).await?.steps;
    if !steps.is_empty() {
        if missing == Missing::Create {
            let htable = files.htable(Dialect::MySql, table);
            sqlx::raw_sql(AssertSqlSafe(htable)).execute(&mut *connection).await.map_err(sql(DOING))?;
        }
        connection.ensure_migrations_table(MIGRATIONS_TABLE).await?;
        sqlx::raw_sql("DELETE FROM sip_filter_migration WHERE NOT success")
            .execute(&mut *connection)
            .await
            .map_err(sql(DOING))?;
        migrator.run_direct(None, &mut *connection, false).await?;
    }
    sqlx::raw_sql("DO RELEASE_LOCK(LEFT(CONCAT('sip_filter.', DATABASE()), 64))")
        .execute(&mut *connection)
        .await
        .map_err(sql(DOING))?;
    Ok(steps)
}

async fn plan_mysql(
    connection: &mut MySqlConnection,
    migrator: &Migrator,
    table: &TableName,
    missing: Missing,
) -> Result<Plan, Error> {
    let count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?";
    let mut exists = async |name: &str| -> Result<bool, Error> {
        let count: i64 =
            sqlx::query_scalar(count).bind(name).fetch_one(&mut *connection).await.map_err(sql(READING))?;
        Ok(count > 0)
    };
    let (has_table, migrated) = (exists(table.as_str()).await?, exists(MIGRATIONS_TABLE).await?);
    let select = "SELECT version, checksum FROM sip_filter_migration WHERE success ORDER BY version";
    let applied = applied!(connection, migrated, select);
    plan_from(migrator, &applied, has_table, table, missing)
}

/// Makes what is missing in PostgreSQL, and says what it made. Also whether the policy table has our trigger, so that the
/// server tells of changes.
pub(super) async fn postgres(
    connection: &mut PgConnection,
    table: &TableName,
    missing: Missing,
) -> Result<(Vec<String>, bool), Error> {
    let files = Files::of(Dialect::Postgres);
    let migrator = files.migrator();
    let mut steps = within(PATIENCE, READING, plan_postgres(connection, &migrator, table, missing)).await?.steps;
    if !steps.is_empty() {
        steps = within(MAKING, DOING, make_postgres(connection, &files, &migrator, table, missing)).await?;
    }
    let told = within(PATIENCE, DOING, ensure_trigger(connection, table, &mut steps)).await?;
    Ok((steps, told))
}

/// One transaction for all of it.
async fn make_postgres(
    connection: &mut PgConnection,
    files: &Files,
    migrator: &Migrator,
    table: &TableName,
    missing: Missing,
) -> Result<Vec<String>, Error> {
    let mut transaction = connection.begin().await.map_err(sql(DOING))?;
    // The number is ours alone by being "sip_filt" in ASCII.
    sqlx::query("SELECT pg_advisory_xact_lock(8316301741958720628)")
        .execute(&mut *transaction)
        .await
        .map_err(sql(DOING))?;
    // Another host may have done it meanwhile.
    let steps = plan_postgres(&mut transaction, migrator, table, missing).await?.steps;
    if missing == Missing::Create {
        let htable = files.htable(Dialect::Postgres, table);
        sqlx::raw_sql(AssertSqlSafe(htable)).execute(&mut *transaction).await.map_err(sql(DOING))?;
    }
    migrator.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await.map_err(sql(DOING))?;
    Ok(steps)
}

async fn plan_postgres(
    connection: &mut PgConnection,
    migrator: &Migrator,
    table: &TableName,
    missing: Missing,
) -> Result<Plan, Error> {
    let mut exists = async |name: &str| -> Result<bool, Error> {
        sqlx::query_scalar("SELECT to_regclass(quote_ident($1)) IS NOT NULL")
            .bind(name)
            .fetch_one(&mut *connection)
            .await
            .map_err(sql(READING))
    };
    let has_table = exists(&table.as_str().to_ascii_lowercase()).await?;
    let migrated = exists(MIGRATIONS_TABLE).await?;
    let select = "SELECT version, checksum FROM sip_filter_migration ORDER BY version";
    let applied = applied!(connection, migrated, select);
    plan_from(migrator, &applied, has_table, table, missing)
}

/// The policy table may be Kamailio's, and be dropped and made anew at any time: its trigger is no migration. Without the
/// right to make it the table is polled.
async fn ensure_trigger(
    connection: &mut PgConnection,
    table: &TableName,
    steps: &mut Vec<String>,
) -> Result<bool, Error> {
    let name = Dialect::Postgres.table(table);
    let select = "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'sip_filter_notify' AND tgenabled <> 'D'
                  AND tgrelid = to_regclass(quote_ident($1)))";
    let present: bool = sqlx::query_scalar(select)
        .bind(table.as_str().to_ascii_lowercase())
        .fetch_one(&mut *connection)
        .await
        .map_err(sql(READING))?;
    if present {
        return Ok(true);
    }
    // Somebody may be at work on the table; then it is polled until the database is opened anew.
    let create = format!(
        "SET LOCAL lock_timeout = '1s'; CREATE TRIGGER sip_filter_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {name}
         FOR EACH STATEMENT EXECUTE FUNCTION sip_filter_notify()"
    );
    match sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await {
        Ok(_) => {
            steps.push(format!("made the trigger sip_filter_notify on the table {table}"));
            Ok(true)
        }
        Err(error) => {
            // Two hosts at the same time: the other one has made it.
            let exists = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42710");
            if !exists {
                warn!(
                    "database: {table} is polled ten times a second, for its trigger cannot be made: {error}; if it is for want \
                     of a right, `GRANT TRIGGER ON {table}` to our user mends it"
                );
            }
            Ok(exists)
        }
    }
}
