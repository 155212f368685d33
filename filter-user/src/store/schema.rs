//! The schema: comparing it with our migrations, and bringing it up to date.

use sqlx::error::DatabaseError;
use sqlx::migrate::{Migrate as _, Migrator};
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tracing::warn;

use super::connection::Connection;
use super::dialect::Dialect;
use super::error::{Error, while_doing};
use super::if_missing::IfMissing;
use super::migrations::{self, Applied, MIGRATIONS_TABLE, Plan};
use super::timeout::{MIGRATION_TIMEOUT, SERVER_TIMEOUT, with_timeout};
use crate::domain::TableName;

const READING: &str = "read the schema";
const MIGRATING: &str = "bring the schema up to date";
/// Time limit, in seconds, for another host that is bringing the schema up to date.
const LOCK_SECONDS: u32 = 10;

/// Reads the applied migrations: none without a table of them. A macro, because each driver has its own row type.
macro_rules! applied {
    ($connection:expr, $has_migrations:expr, $select:expr) => {
        if $has_migrations {
            let applied: Vec<Applied> = sqlx::query_as($select)
                .fetch_all(&mut *$connection)
                .await
                .map_err(while_doing("read the schema's version"))?;
            applied
        } else {
            Vec::new()
        }
    };
}

/// Computes the pending steps without applying them.
pub(super) async fn plan(connection: &mut Connection, table: &TableName, if_missing: IfMissing) -> Result<Plan, Error> {
    let limit = connection.timeout();
    let migrator = migrations::migrator(connection.dialect());
    let plan = async {
        match connection {
            Connection::Sqlite(connection) => plan_sqlite(connection, &migrator, table, if_missing).await,
            Connection::MySql(connection) => plan_mysql(connection, &migrator, table, if_missing).await,
            Connection::Postgres(connection) => plan_postgres(connection, &migrator, table, if_missing).await,
        }
    };
    with_timeout(limit, READING, plan).await
}

/// Brings a SQLite database up to date. Returns the steps, one line each. Takes no write lock if there are none.
pub(super) async fn migrate_sqlite(
    connection: &mut SqliteConnection,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<Vec<String>, Error> {
    let migrator = migrations::migrator(Dialect::Sqlite);
    let steps = plan_sqlite(connection, &migrator, table, if_missing).await?.into_steps();
    if steps.is_empty() {
        return Ok(steps);
    }
    // One transaction for all steps. It also keeps a second process out, since sqlx's own lock does nothing in SQLite.
    // The transactions of the migrations become savepoints.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(while_doing(MIGRATING))?;
    if if_missing == IfMissing::Create {
        let htable = migrations::create_htable(Dialect::Sqlite, table);
        sqlx::raw_sql(AssertSqlSafe(htable)).execute(&mut *transaction).await.map_err(while_doing(MIGRATING))?;
    }
    migrator.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await.map_err(while_doing(MIGRATING))?;
    Ok(steps)
}

async fn plan_sqlite(
    connection: &mut SqliteConnection,
    migrator: &Migrator,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<Plan, Error> {
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        .fetch_all(&mut *connection)
        .await
        .map_err(while_doing(READING))?;
    let exists = |name: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(name));
    let select = "SELECT version, checksum FROM sip_filter_migration ORDER BY version";
    let applied = applied!(connection, exists(MIGRATIONS_TABLE), select);
    Plan::new(migrator, &applied, exists(table.as_str()), table, if_missing)
}

/// Brings a MySQL or MariaDB database up to date. Returns the steps, one line each.
pub(super) async fn migrate_mysql(
    connection: &mut MySqlConnection,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<Vec<String>, Error> {
    let migrator = migrations::migrator(Dialect::MySql);
    let steps =
        with_timeout(SERVER_TIMEOUT, READING, plan_mysql(connection, &migrator, table, if_missing)).await?.into_steps();
    if steps.is_empty() {
        return Ok(steps);
    }
    with_timeout(MIGRATION_TIMEOUT, MIGRATING, apply_mysql(connection, &migrator, table, if_missing)).await
}

/// Applies the pending steps.
///
/// MySQL commits each CREATE TABLE at once. All statements of a migration can therefore be repeated, and a migration
/// that was interrupted, as its row says, is applied again.
async fn apply_mysql(
    connection: &mut MySqlConnection,
    migrator: &Migrator,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<Vec<String>, Error> {
    let lock = format!("SELECT GET_LOCK(LEFT(CONCAT('sip_filter.', DATABASE()), 64), {LOCK_SECONDS})");
    let locked: Option<i64> =
        sqlx::query_scalar(AssertSqlSafe(lock)).fetch_one(&mut *connection).await.map_err(while_doing(MIGRATING))?;
    if locked != Some(1) {
        return Err(Error::BeingMigrated);
    }
    // Another host may have applied the steps meanwhile. After an error the lock is released with the connection.
    let steps = plan_mysql(connection, migrator, table, if_missing).await?.into_steps();
    if !steps.is_empty() {
        if if_missing == IfMissing::Create {
            let htable = migrations::create_htable(Dialect::MySql, table);
            sqlx::raw_sql(AssertSqlSafe(htable)).execute(&mut *connection).await.map_err(while_doing(MIGRATING))?;
        }
        connection.ensure_migrations_table(MIGRATIONS_TABLE).await?;
        sqlx::raw_sql("DELETE FROM sip_filter_migration WHERE NOT success")
            .execute(&mut *connection)
            .await
            .map_err(while_doing(MIGRATING))?;
        migrator.run_direct(None, &mut *connection, false).await?;
    }
    sqlx::raw_sql("DO RELEASE_LOCK(LEFT(CONCAT('sip_filter.', DATABASE()), 64))")
        .execute(&mut *connection)
        .await
        .map_err(while_doing(MIGRATING))?;
    Ok(steps)
}

async fn plan_mysql(
    connection: &mut MySqlConnection,
    migrator: &Migrator,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<Plan, Error> {
    let count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?";
    let mut exists = async |name: &str| -> Result<bool, Error> {
        let count: i64 =
            sqlx::query_scalar(count).bind(name).fetch_one(&mut *connection).await.map_err(while_doing(READING))?;
        Ok(count > 0)
    };
    let (has_table, has_migrations) = (exists(table.as_str()).await?, exists(MIGRATIONS_TABLE).await?);
    let select = "SELECT version, checksum FROM sip_filter_migration WHERE success ORDER BY version";
    let applied = applied!(connection, has_migrations, select);
    Plan::new(migrator, &applied, has_table, table, if_missing)
}

/// Brings a PostgreSQL database up to date. Returns the steps, one line each, and whether the policy table has our
/// trigger, so that the server notifies us of changes.
pub(super) async fn migrate_postgres(
    connection: &mut PgConnection,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<(Vec<String>, bool), Error> {
    let migrator = migrations::migrator(Dialect::Postgres);
    let mut steps = with_timeout(SERVER_TIMEOUT, READING, plan_postgres(connection, &migrator, table, if_missing))
        .await?
        .into_steps();
    if !steps.is_empty() {
        steps = with_timeout(MIGRATION_TIMEOUT, MIGRATING, apply_postgres(connection, &migrator, table, if_missing))
            .await?;
    }
    let has_trigger = with_timeout(SERVER_TIMEOUT, MIGRATING, ensure_trigger(connection, table, &mut steps)).await?;
    Ok((steps, has_trigger))
}

/// Applies the pending steps in one transaction.
async fn apply_postgres(
    connection: &mut PgConnection,
    migrator: &Migrator,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<Vec<String>, Error> {
    let mut transaction = connection.begin().await.map_err(while_doing(MIGRATING))?;
    // "sip_filt" in ASCII, so that no other program uses this number.
    sqlx::query("SELECT pg_advisory_xact_lock(8316301741958720628)")
        .execute(&mut *transaction)
        .await
        .map_err(while_doing(MIGRATING))?;
    // Another host may have applied the steps meanwhile.
    let steps = plan_postgres(&mut transaction, migrator, table, if_missing).await?.into_steps();
    if if_missing == IfMissing::Create {
        let htable = migrations::create_htable(Dialect::Postgres, table);
        sqlx::raw_sql(AssertSqlSafe(htable)).execute(&mut *transaction).await.map_err(while_doing(MIGRATING))?;
    }
    migrator.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await.map_err(while_doing(MIGRATING))?;
    Ok(steps)
}

async fn plan_postgres(
    connection: &mut PgConnection,
    migrator: &Migrator,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<Plan, Error> {
    let mut exists = async |name: &str| -> Result<bool, Error> {
        sqlx::query_scalar("SELECT to_regclass(quote_ident($1)) IS NOT NULL")
            .bind(name)
            .fetch_one(&mut *connection)
            .await
            .map_err(while_doing(READING))
    };
    let has_table = exists(&table.as_str().to_ascii_lowercase()).await?;
    let has_migrations = exists(MIGRATIONS_TABLE).await?;
    let select = "SELECT version, checksum FROM sip_filter_migration ORDER BY version";
    let applied = applied!(connection, has_migrations, select);
    Plan::new(migrator, &applied, has_table, table, if_missing)
}

/// Creates our trigger on the policy table, if it is missing. Returns whether there is one; otherwise the table is
/// polled.
///
/// The trigger is not part of a migration, because Kamailio's table may be dropped and created again at any time.
async fn ensure_trigger(
    connection: &mut PgConnection,
    table: &TableName,
    steps: &mut Vec<String>,
) -> Result<bool, Error> {
    let name = Dialect::Postgres.quoted(table);
    let select = "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'sip_filter_notify' AND tgenabled <> 'D'
                  AND tgrelid = to_regclass(quote_ident($1)))";
    let present: bool = sqlx::query_scalar(select)
        .bind(table.as_str().to_ascii_lowercase())
        .fetch_one(&mut *connection)
        .await
        .map_err(while_doing(READING))?;
    if present {
        return Ok(true);
    }
    // If another client holds a lock on the table, the table is polled until the database is opened again.
    let create = format!(
        "SET LOCAL lock_timeout = '1s'; CREATE TRIGGER sip_filter_notify
         AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION sip_filter_notify()"
    );
    match sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await {
        Ok(_) => {
            steps.push(format!("created the trigger sip_filter_notify on the table {table}"));
            Ok(true)
        }
        Err(error) => {
            // duplicate_object: another host has created it at the same time.
            let exists = error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "42710");
            if !exists {
                warn!(
                    "database: cannot create the trigger on {table}, so the table is polled ten times a second: \
                     {error}; if the user in --database-url lacks the privilege, run `GRANT TRIGGER ON {table} TO` \
                     that user"
                );
            }
            Ok(exists)
        }
    }
}
