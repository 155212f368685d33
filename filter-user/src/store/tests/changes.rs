//! Detection of changes by others, and of a file that was replaced.

use std::path::Path;
use std::time::Duration;

use rstest::rstest;
use tokio::time::timeout;

use super::super::{Error, Row};
use super::{Database, switch};
use crate::domain::Action;

/// Time limit for a change to be noticed: far above the interval of the poll.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn change_by_the_sqlite3_tool_is_noticed_and_our_own_is_not() {
    let (database, mut store) = Database::with_schema().await;
    store.switch(&switch(Action::Off)).await.unwrap();
    store.read().await.unwrap();
    assert!(timeout(Duration::from_millis(300), store.changed()).await.is_err(), "nothing has changed");

    database.sql("UPDATE htable_config SET key_value = '1' WHERE key_name = 'maint'");
    timeout(CHANGE_TIMEOUT, store.changed()).await.unwrap().unwrap();
    let maint = Row { key: "maint".into(), key_type: 0, value_type: 0, value: Some("1".into()) };
    assert_eq!(store.read().await.unwrap().rows, [maint]);
}

#[rstest]
#[case::deleted(|path: &Path| std::fs::remove_file(path).unwrap())]
#[case::replaced(|path: &Path| {
    let other = path.with_extension("new");
    std::fs::copy(path, &other).unwrap();
    std::fs::rename(&other, path).unwrap();
})]
#[case::overwritten(|path: &Path| std::fs::write(path, "not a database at all").unwrap())]
#[tokio::test]
async fn file_that_was_deleted_or_replaced_is_noticed(#[case] replace: fn(&Path)) {
    let (database, mut store) = Database::with_schema().await;
    store.read().await.unwrap();
    replace(&database.path);
    let error = timeout(CHANGE_TIMEOUT, store.changed()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::NoFile { .. } | Error::Replaced { .. }), "{error}");
}

#[tokio::test]
async fn switch_is_never_written_to_a_deleted_file() {
    let (database, mut store) = Database::with_schema().await;
    std::fs::remove_file(&database.path).unwrap();
    assert!(matches!(store.switch(&switch(Action::On)).await, Err(Error::NoFile { .. })));
}
