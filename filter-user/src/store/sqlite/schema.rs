//! The schema in SQLite: Kamailio's table under its name of choice, and the migrations of our own tables.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, SqlSafeStr};

use super::super::{Error, Missing, TableName, sql};

/// Kamailio's table, with `{table}` for its name.
const HTABLE: &str = include_str!("../../../../migrations/sqlite/htable.sql");

/// Which migrations have been made. Not sqlx's `_sqlx_migrations`: the database may be another program's too.
const MIGRATIONS_TABLE: &str = "sip_filter_migration";

fn migrator() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(vec![
        migration(1, "events and cluster", include_str!("../../../../migrations/sqlite/0001_events_and_cluster.sql")),
        migration(2, "exemptions", include_str!("../../../../migrations/sqlite/0002_exemptions.sql")),
    ]);
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator
}

/// Makes what is missing, and says what it made. It takes no write lock if nothing is.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    table: &TableName,
    missing: Missing,
) -> Result<Vec<String>, Error> {
    let migrator = migrator();
    let tables = tables(connection).await?;
    let exists = |name: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(name));
    let applied = if exists(MIGRATIONS_TABLE) { applied(connection).await? } else { Vec::new() };
    check(&migrator, &applied)?;

    let mut steps = Vec::new();
    if !exists(table.as_str()) {
        match missing {
            Missing::Create => steps.push(format!("made the table {table}")),
            Missing::Refuse => return Err(Error::NoTable { table: table.clone() }),
        }
    }
    let pending = migrator.iter().filter(|migration| !applied.iter().any(|(version, _)| *version == migration.version));
    steps.extend(pending.map(|migration| format!("made migration {}, {}", migration.version, migration.description)));
    if !steps.is_empty() {
        run(connection, table, missing, &migrator).await?;
    }
    Ok(steps)
}

/// One transaction for all of it, which also keeps a second process from doing the same at the same time
/// (sqlx's own lock is empty for SQLite). Its inner ones become savepoints.
async fn run(
    connection: &mut SqliteConnection,
    table: &TableName,
    missing: Missing,
    migrator: &Migrator,
) -> Result<(), Error> {
    let doing = "bring the schema up to date";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(sql(doing))?;
    if missing == Missing::Create {
        let htable = HTABLE.replace("{table}", table.as_str());
        sqlx::raw_sql(AssertSqlSafe(htable)).execute(&mut *transaction).await.map_err(sql(doing))?;
    }
    migrator.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await.map_err(sql(doing))
}

async fn tables(connection: &mut SqliteConnection) -> Result<Vec<String>, Error> {
    sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        .fetch_all(connection)
        .await
        .map_err(sql("read the schema"))
}

async fn applied(connection: &mut SqliteConnection) -> Result<Vec<(i64, Vec<u8>)>, Error> {
    sqlx::query_as(AssertSqlSafe(format!("SELECT version, checksum FROM {MIGRATIONS_TABLE} ORDER BY version")))
        .fetch_all(connection)
        .await
        .map_err(sql("read the schema's version"))
}

/// Refuses a schema that another version of us has made.
fn check(migrator: &Migrator, applied: &[(i64, Vec<u8>)]) -> Result<(), Error> {
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
