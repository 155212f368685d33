//! The schema: creating it, bringing it up to date, and using an existing policy table.

use std::os::unix::fs::PermissionsExt as _;

use rstest::rstest;

use super::super::{Error, IfMissing, Recovery, Store};
use super::{Database, node, switch, url};
use crate::domain::{Action, Switch};

/// A table whose id is not generated, so that an INSERT has to give it.
const TABLE_WITH_PLAIN_ID: &str = "CREATE TABLE htable_config (id INT NOT NULL,
    key_name VARCHAR(64) NOT NULL DEFAULT '', key_type INT NOT NULL DEFAULT 0, value_type INT NOT NULL DEFAULT 0,
    key_value VARCHAR(128) NOT NULL DEFAULT '', expires INT NOT NULL DEFAULT 0);";

#[tokio::test]
async fn first_open_creates_file_and_schema_and_the_second_changes_nothing() {
    let database = Database::new();
    let (store, steps) = database.open(IfMissing::Create).await.unwrap();
    assert_eq!(steps.len(), 6, "{steps:?}");
    store.close().await;

    let mode = database.path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "the file holds a secret key");
    assert_eq!(database.sql("PRAGMA journal_mode"), "wal");
    let (mut store, steps) = database.open(IfMissing::Create).await.unwrap();
    assert_eq!(steps, [""; 0]);
    assert_eq!(store.read().await.unwrap().rows, []);
}

#[tokio::test]
async fn missing_file_or_table_is_not_created_unless_asked_for() {
    let database = Database::new();
    assert!(matches!(database.open(IfMissing::Fail).await, Err(Error::NoFile { .. })));
    assert!(!database.path.exists());

    let database = Database::with_sql("CREATE TABLE other (x)");
    assert!(matches!(database.open(IfMissing::Fail).await, Err(Error::NoTable { .. })));
    assert_eq!(database.sql("SELECT name FROM sqlite_master"), "other");
}

#[tokio::test]
async fn policy_table_may_have_another_name() {
    let database = Database::new();
    let table = "htable".parse().unwrap();
    let (mut store, _) = Store::open(&url(&database.path), &table, &node(), IfMissing::Create).await.unwrap();
    store.switch(&switch(Action::On)).await.unwrap();
    assert_eq!(database.sql("SELECT key_name, key_value FROM htable"), "maint|1");
}

#[rstest]
#[case::a_later_version(
    "INSERT INTO sip_filter_migration (version, description, success, checksum, execution_time)
     VALUES (7, 'x', 1, x'00', 0)",
    "migration 7"
)]
#[case::an_altered_migration("UPDATE sip_filter_migration SET checksum = x'00'", "migration 1")]
#[tokio::test]
async fn schema_of_another_version_is_rejected(#[case] statement: &str, #[case] message: &str) {
    let (database, store) = Database::with_schema().await;
    store.close().await;
    database.sql(statement);
    let Err(error) = database.open(IfMissing::Create).await else { panic!("opened") };
    assert_eq!(error.recovery(), Recovery::GiveUp);
    assert!(error.to_string().contains(message), "{error}");
}

#[rstest]
#[case::with_plain_id(TABLE_WITH_PLAIN_ID)]
#[case::of_kamailio(
    "CREATE TABLE htable_config (id INTEGER PRIMARY KEY NOT NULL, key_name VARCHAR(64) DEFAULT '' NOT NULL,
    key_type INTEGER DEFAULT 0 NOT NULL, value_type INTEGER DEFAULT 0 NOT NULL,
    key_value VARCHAR(128) DEFAULT '' NOT NULL, expires INTEGER DEFAULT 0 NOT NULL);"
)]
#[case::without_id_and_expires(
    "CREATE TABLE htable_config (key_name TEXT, key_type INT, value_type INT, key_value TEXT);"
)]
#[case::expires_without_default(
    "CREATE TABLE htable_config (ID INT NOT NULL UNIQUE, key_name TEXT NOT NULL,
    key_type INT NOT NULL, value_type INT NOT NULL, key_value TEXT NOT NULL, expires INT NOT NULL);"
)]
#[tokio::test]
async fn existing_policy_table_is_used_without_altering_it(#[case] create: &str) {
    let database = Database::with_sql(create);
    let before = database.sql("SELECT sql FROM sqlite_master WHERE name = 'htable_config'");
    let (mut store, _) = database.open(IfMissing::Fail).await.unwrap();

    store.switch(&Switch { code: Some(480.try_into().unwrap()), ..switch(Action::On) }).await.unwrap();
    store.switch(&switch(Action::Off)).await.unwrap();

    assert_eq!(database.sql("SELECT key_name, key_value FROM htable_config ORDER BY 1"), "maint|0\nmaint_code|480");
    assert_eq!(database.sql("SELECT sql FROM sqlite_master WHERE name = 'htable_config'"), before);
    assert_eq!(database.sql("PRAGMA journal_mode"), "delete", "an existing file keeps its journal mode");
}

#[tokio::test]
async fn ids_that_the_table_does_not_generate_continue_after_the_highest() {
    let database = Database::with_sql(TABLE_WITH_PLAIN_ID);
    database.sql("INSERT INTO htable_config (id, key_name, key_value) VALUES (41, 'limit', '7')");
    let (mut store, _) = database.open(IfMissing::Fail).await.unwrap();
    store.switch(&Switch { code: Some(480.try_into().unwrap()), ..switch(Action::On) }).await.unwrap();
    assert_eq!(database.sql("SELECT id, key_name FROM htable_config ORDER BY id"), "41|limit\n42|maint\n43|maint_code");
}

#[tokio::test]
async fn file_that_is_not_a_database_is_rejected_as_such() {
    let database = Database::new();
    std::fs::create_dir(database.path.parent().unwrap()).unwrap();
    std::fs::write(&database.path, "this is a text file, and a rather long one for what it says").unwrap();
    let Err(error) = database.open(IfMissing::Create).await else { panic!("opened") };
    assert!(error.to_string().contains("file is not a database"), "{error}");
}

/// A dump of a database that sip-filter 0.1 created with migration 1. Its checksum also proves that the text of the
/// migration has not changed.
const VERSION_1: &str = include_str!("version_1.sql");

#[rstest]
#[case::at_the_first_start(IfMissing::Create)]
#[case::while_maintenance_is_on(IfMissing::Fail)]
#[tokio::test]
async fn database_of_version_1_is_brought_up_to_date(#[case] if_missing: IfMissing) {
    let database = Database::with_sql(VERSION_1);
    let (mut store, steps) = database.open(if_missing).await.unwrap();
    assert_eq!(steps, ["applied migration 2, exemptions", "applied migration 3, nodes", "applied migration 4, scope"]);
    let reading = store.read().await.unwrap();
    assert_eq!((reading.rows.len(), reading.event.unwrap().actor.as_str()), (2, "root"));
    assert_eq!(reading.lists.bypass, [""; 0]);
    assert_eq!(reading.lists.emergency, ["112", "911", "999"]);
    store.close().await;

    // An entry that was removed does not come back.
    database.sql("DELETE FROM sip_filter_emergency WHERE user_part = '999'");
    let (mut store, steps) = database.open(if_missing).await.unwrap();
    assert_eq!(steps, [""; 0]);
    assert_eq!(store.read().await.unwrap().lists.emergency, ["112", "911"]);
}
