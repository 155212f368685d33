//! The migrations of our tables, the creation of Kamailio's table, and the steps that a database still needs.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::dialect::Dialect;
use super::error::Error;
use super::if_missing::IfMissing;
use crate::domain::TableName;

/// Table of the applied migrations. Not sqlx's `_sqlx_migrations`, because another program may use that in this
/// database.
pub(super) const MIGRATIONS_TABLE: &str = "sip_filter_migration";

/// Descriptions of the migrations.
const NAMES: [&str; 4] = ["events and cluster", "exemptions", "nodes", "scope"];

macro_rules! files {
    ($folder:literal) => {
        Files {
            htable: include_str!(concat!("../../../migrations/", $folder, "/htable.sql")),
            migrations: [
                include_str!(concat!("../../../migrations/", $folder, "/0001_events_and_cluster.sql")),
                include_str!(concat!("../../../migrations/", $folder, "/0002_exemptions.sql")),
                include_str!(concat!("../../../migrations/", $folder, "/0003_nodes.sql")),
                include_str!(concat!("../../../migrations/", $folder, "/0004_scope.sql")),
            ],
        }
    };
}

/// The SQL files for one kind of database.
struct Files {
    /// Kamailio's table, with `{table}` for its name.
    htable: &'static str,
    migrations: [&'static str; 4],
}

impl Files {
    const fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Sqlite => files!("sqlite"),
            Dialect::MySql => files!("mysql"),
            Dialect::Postgres => files!("postgres"),
        }
    }
}

/// Returns the statements that create the policy table `table`, if it does not exist.
pub(super) fn create_htable(dialect: Dialect, table: &TableName) -> String {
    Files::new(dialect).htable.replace("{table}", &dialect.quoted(table))
}

/// Returns the migrations of our own tables.
pub(super) fn migrator(dialect: Dialect) -> Migrator {
    let migrations = Files::new(dialect).migrations.into_iter().zip(NAMES).zip(1..).map(|((text, name), version)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator
}

/// An applied migration: its number and checksum.
pub(super) type Applied = (i64, Vec<u8>);

/// The steps that bring a schema up to date.
pub(super) struct Plan {
    steps: Vec<String>,
    version: i64,
    latest: i64,
}

impl Plan {
    /// Plans the steps for a database with the migrations `applied`, and with the policy table `table` if `has_table`.
    ///
    /// # Errors
    ///
    /// The schema was altered by another version of sip-filter, or the policy table is missing and must not be created.
    pub(super) fn new(
        migrator: &Migrator,
        applied: &[Applied],
        has_table: bool,
        table: &TableName,
        if_missing: IfMissing,
    ) -> Result<Self, Error> {
        ensure_known(migrator, applied)?;
        let mut steps = Vec::new();
        if !has_table {
            match if_missing {
                IfMissing::Create => steps.push(format!("created the table {table}")),
                IfMissing::Fail => return Err(Error::NoTable { table: table.clone() }),
            }
        }
        let is_pending = |migration: &&Migration| !applied.iter().any(|(version, _)| *version == migration.version);
        let pending = migrator.iter().filter(is_pending);
        steps.extend(
            pending.map(|Migration { version, description, .. }| format!("applied migration {version}, {description}")),
        );
        let version = applied.iter().map(|(version, _)| *version).max().unwrap_or(0);
        let latest = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
        Ok(Self { steps, version, latest })
    }

    /// Returns the steps, one line each, in the past tense. There are none if the schema is up to date.
    pub(super) fn into_steps(self) -> Vec<String> {
        self.steps
    }

    /// Returns the last migration applied, 0 for none.
    pub(super) const fn version(&self) -> i64 {
        self.version
    }

    /// Returns the last migration of this version of sip-filter.
    pub(super) const fn latest(&self) -> i64 {
        self.latest
    }
}

/// Fails if another version of sip-filter has altered the schema.
fn ensure_known(migrator: &Migrator, applied: &[Applied]) -> Result<(), Error> {
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
