//! Tests of the store on SQLite; those with real servers are in `tests/integration/tests/store`. With real files and the real `sqlite3` tool.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use filter_reply::TagSecret;
use rstest::rstest;
use tempfile::TempDir;
use tokio::time::timeout;

use super::{DatabaseUrl, Error, IfMissing, Recovery, Row, Store};
use crate::domain::{Action, Change, Changed, Channel, Edit, Exemption, Hosts, NodeName, Origin, Switch};

/// A connection that is dropped closes in its own thread, and the last one locks the file for a moment.
const PATIENTLY: [&str; 2] = ["-cmd", ".timeout 10000"];

const ARTICLE: &str = "CREATE TABLE htable_config (id INT NOT NULL, key_name VARCHAR(64) NOT NULL DEFAULT '',
    key_type INT NOT NULL DEFAULT 0, value_type INT NOT NULL DEFAULT 0, key_value VARCHAR(128) NOT NULL DEFAULT '',
    expires INT NOT NULL DEFAULT 0);";

fn url(path: &Path) -> DatabaseUrl {
    format!("sqlite://{}", path.display()).parse().unwrap()
}

async fn open(path: &Path, missing: IfMissing) -> Result<(Store, Vec<String>), Error> {
    Store::open(&url(path), &"htable_config".parse().unwrap(), &node(), missing).await
}

fn node() -> NodeName {
    "sbc1".parse().unwrap()
}

fn sqlite3(path: &Path, statement: &str) -> String {
    let output = Command::new("sqlite3").args(PATIENTLY).arg(path).arg(statement).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn switch(action: Action) -> Switch {
    let origin = Origin { actor: "alice".into(), why: None, channel: Channel::Daemon, node: "sbc1".into() };
    Switch::new(action, Hosts::Cluster, origin)
}

fn maint(value: &str) -> Row {
    Row { key: "maint".into(), key_type: 0, value_type: 0, value: Some(value.into()) }
}

#[tokio::test]
async fn the_first_run_makes_file_and_schema_and_the_second_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state/sip-filter.db");
    let (store, steps) = open(&path, IfMissing::Create).await.unwrap();
    assert_eq!(steps.len(), 5, "{steps:?}");
    store.close().await;

    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640, "it holds a secret key");
    assert_eq!(sqlite3(&path, "PRAGMA journal_mode"), "wal");
    let (mut store, steps) = open(&path, IfMissing::Create).await.unwrap();
    assert_eq!(steps, [""; 0]);
    assert_eq!(store.read().await.unwrap().rows, []);
}

#[tokio::test]
async fn nothing_is_made_when_it_must_not_be() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    assert!(matches!(open(&path, IfMissing::Fail).await, Err(Error::NoFile { .. })));
    assert!(!path.exists());

    sqlite3(&path, "CREATE TABLE other (x)");
    assert!(matches!(open(&path, IfMissing::Fail).await, Err(Error::NoTable { .. })));
    assert_eq!(sqlite3(&path, "SELECT name FROM sqlite_master"), "other");
}

#[tokio::test]
async fn the_table_has_the_name_that_it_is_given() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("kamailio.db");
    let (mut store, _) =
        Store::open(&url(&path), &"htable".parse().unwrap(), &node(), IfMissing::Create).await.unwrap();
    store.switch(&switch(Action::On)).await.unwrap();
    assert_eq!(sqlite3(&path, "SELECT key_name, key_value FROM htable"), "maint|1");
}

#[rstest]
#[case::a_later_version(
    "INSERT INTO sip_filter_migration (version, description, success, checksum, execution_time) VALUES (7, 'x', 1, x'00', 0)",
    "migration 7"
)]
#[case::an_altered_migration("UPDATE sip_filter_migration SET checksum = x'00'", "migration 1")]
#[tokio::test]
async fn an_unknown_schema_is_refused(#[case] statement: &str, #[case] message: &str) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    open(&path, IfMissing::Create).await.unwrap().0.close().await;
    sqlite3(&path, statement);
    let Err(error) = open(&path, IfMissing::Create).await else { panic!("opened") };
    assert!(error.recovery() == Recovery::GiveUp);
    assert!(error.to_string().contains(message), "{error}");
}

#[rstest]
#[case::of_the_article(ARTICLE)]
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
async fn a_table_of_an_older_shape_works_as_it_is(#[case] create: &str) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("kamailio.db");
    sqlite3(&path, create);
    let before = sqlite3(&path, "SELECT sql FROM sqlite_master WHERE name = 'htable_config'");
    let (mut store, _) = open(&path, IfMissing::Fail).await.unwrap();

    store.switch(&Switch { code: Some(480.try_into().unwrap()), ..switch(Action::On) }).await.unwrap();
    store.switch(&switch(Action::Off)).await.unwrap();

    assert_eq!(sqlite3(&path, "SELECT key_name, key_value FROM htable_config ORDER BY 1"), "maint|0\nmaint_code|480");
    assert_eq!(sqlite3(&path, "SELECT sql FROM sqlite_master WHERE name = 'htable_config'"), before);
    assert_eq!(sqlite3(&path, "PRAGMA journal_mode"), "delete", "its journal mode is not ours to choose");
}

#[tokio::test]
async fn ids_go_on_where_they_do_not_count_by_themselves() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("kamailio.db");
    sqlite3(&path, ARTICLE);
    sqlite3(&path, "INSERT INTO htable_config (id, key_name, key_value) VALUES (41, 'limit', '7')");
    let (mut store, _) = open(&path, IfMissing::Fail).await.unwrap();
    store.switch(&Switch { code: Some(480.try_into().unwrap()), ..switch(Action::On) }).await.unwrap();
    assert_eq!(
        sqlite3(&path, "SELECT id, key_name FROM htable_config ORDER BY id"),
        "41|limit\n42|maint\n43|maint_code"
    );
}

#[tokio::test]
async fn a_switch_writes_its_rows_in_place_and_its_event() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    sqlite3(
        &path,
        "INSERT INTO htable_config (id, key_name, key_type, value_type, key_value) VALUES
         (5, 'Maint', 0, 0, 'no'), (6, 'maint', 1, 1, '7'), (7, 'maint ', 0, 0, 'no'), (8, 'maint', 0, 0, '0')",
    );
    let on = Switch {
        code: Some(480.try_into().unwrap()),
        reason: Some("Moving".parse().unwrap()),
        retry_after: Some(7.try_into().unwrap()),
        percent: Some(30.try_into().unwrap()),
        methods: Some("INVITE,OPTIONS".parse().unwrap()),
        origin: Origin { why: Some("it's \"time\"".parse().unwrap()), ..switch(Action::On).origin },
        ..switch(Action::On)
    };
    store.switch(&on).await.unwrap();

    assert_eq!(
        sqlite3(&path, "SELECT id, key_name, key_type, value_type, key_value FROM htable_config ORDER BY id"),
        "5|Maint|0|0|no\n6|maint|0|0|1\n7|maint |0|0|no\n8|maint_code|0|0|480\n9|maint_reason|0|0|Moving\n\
         10|maint_retry_after|0|0|7\n11|maint_percent|0|0|30\n12|maint_methods|0|0|INVITE,OPTIONS",
        "the two rows of `maint` become one, the others' stay"
    );
    assert_eq!(
        sqlite3(&path, "SELECT node, actor, via, action, why, written FROM sip_filter_event"),
        concat!(
            r#"sbc1|alice|daemon|on|it's "time"|{"maint":"1","maint_code":"480","maint_methods":"INVITE,OPTIONS","#,
            r#""maint_percent":"30","maint_reason":"Moving","maint_retry_after":"7"}"#
        )
    );
    let event = store.read().await.unwrap().event.unwrap();
    assert_eq!((event.actor.as_str(), event.action.as_str()), ("alice", "on"));
    assert!(event.at.duration_until(jiff::Timestamp::now()).abs().as_secs() < 60);
}

#[tokio::test]
async fn a_switch_that_fails_half_way_leaves_nothing_behind() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    sqlite3(&path, "CREATE TRIGGER no BEFORE INSERT ON sip_filter_event BEGIN SELECT RAISE(ABORT, 'no'); END");
    assert!(store.switch(&switch(Action::On)).await.is_err());
    assert_eq!(sqlite3(&path, "SELECT count(*) FROM htable_config"), "0");
    // The connection is out of its transaction, or the tool's next write would be locked out.
    sqlite3(&path, "DROP TRIGGER no");
    store.switch(&switch(Action::On)).await.unwrap();
}

#[tokio::test]
async fn a_change_by_the_sqlite3_tool_is_noticed_and_our_own_is_not() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    store.switch(&switch(Action::Off)).await.unwrap();
    store.read().await.unwrap();
    assert!(timeout(Duration::from_millis(300), store.changed()).await.is_err(), "nothing has changed");

    sqlite3(&path, "UPDATE htable_config SET key_value = '1' WHERE key_name = 'maint'");
    timeout(Duration::from_secs(10), store.changed()).await.unwrap().unwrap();
    assert_eq!(store.read().await.unwrap().rows, [maint("1")]);
}

#[rstest]
#[case::deleted(|path: &Path| std::fs::remove_file(path).unwrap())]
#[case::another_in_its_place(|path: &Path| {
    let other = path.with_extension("new");
    std::fs::copy(path, &other).unwrap();
    std::fs::rename(&other, path).unwrap();
})]
#[case::overwritten(|path: &Path| std::fs::write(path, "not a database at all").unwrap())]
#[tokio::test]
async fn a_file_that_is_another_is_noticed(#[case] replace: fn(&Path)) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    store.read().await.unwrap();
    replace(&path);
    let error = timeout(Duration::from_secs(10), store.changed()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::NoFile { .. } | Error::Replaced { .. }), "{error}");
}

#[tokio::test]
async fn a_switch_never_goes_into_a_deleted_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(store.switch(&switch(Action::On)).await, Err(Error::NoFile { .. })));
}

#[tokio::test]
async fn what_is_no_database_is_said_so() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    std::fs::write(&path, "this is a text file, and a rather long one for what it says").unwrap();
    let Err(error) = open(&path, IfMissing::Create).await else { panic!("opened") };
    assert!(error.to_string().contains("file is not a database"), "{error}");
}

#[tokio::test]
async fn the_first_tag_is_the_clusters() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    let first = store.tag(&TagSecret::from_random(&[7; 24])).await.unwrap();
    let second = store.tag(&TagSecret::from_random(&[8; 24])).await.unwrap();
    assert_eq!(first, second);

    sqlite3(&path, "UPDATE sip_filter_cluster SET tag_prefix = 'UPPER'");
    assert!(matches!(store.tag(&first).await, Err(Error::Tag)));
}

#[tokio::test]
async fn values_that_are_not_text_are_read_all_the_same() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("kamailio.db");
    sqlite3(&path, "CREATE TABLE htable_config (key_name, key_type, value_type, key_value)");
    sqlite3(
        &path,
        "INSERT INTO htable_config VALUES ('maint', '0', 0, 1), ('maint_reason', NULL, 0, x'4cff'), ('maint_code', 0, 1, NULL)",
    );
    let (mut store, _) = open(&path, IfMissing::Fail).await.unwrap();
    let row = |key: &str, value_type, value: Option<&str>| Row {
        key: key.into(),
        key_type: 0,
        value_type,
        value: value.map(Into::into),
    };
    assert_eq!(
        store.read().await.unwrap().rows,
        [row("maint", 0, Some("1")), row("maint_code", 1, None), row("maint_reason", 0, Some("L\u{fffd}"))]
    );
}

/// A database as sip-filter 0.1 with migration 1 made it: a dump. Its checksum also holds the migration to its text.
const VERSION_1: &str = include_str!("version_1.sql");

#[rstest]
#[case::at_the_first_start(IfMissing::Create)]
#[case::while_maintenance_is_on(IfMissing::Fail)]
#[tokio::test]
async fn a_database_of_version_1_is_brought_up_to_date(#[case] missing: IfMissing) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    sqlite3(&path, VERSION_1);
    let (mut store, steps) = open(&path, missing).await.unwrap();
    assert_eq!(steps, ["applied migration 2, exemptions", "applied migration 3, nodes"]);
    let reading = store.read().await.unwrap();
    assert_eq!((reading.rows.len(), reading.event.unwrap().actor.as_str()), (2, "root"));
    assert_eq!(reading.bypass, [""; 0]);
    assert_eq!(reading.emergency, ["112", "911", "999"]);
    store.close().await;

    // What was taken out stays out.
    sqlite3(&path, "DELETE FROM sip_filter_emergency WHERE user_part = '999'");
    let (mut store, steps) = open(&path, missing).await.unwrap();
    assert_eq!(steps, [""; 0]);
    assert_eq!(store.read().await.unwrap().emergency, ["112", "911"]);
}

fn change(exemption: Exemption, edit: Edit, entries: &[&str]) -> Change {
    let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
    let origin = Origin { why: Some("test callers".parse().unwrap()), ..switch(Action::On).origin };
    Change::new(exemption, edit, &entries, origin).unwrap()
}

fn changed(changed: &[&str], unchanged: &[&str], left: usize) -> Changed {
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Changed { changed: strings(changed), unchanged: strings(unchanged), left }
}

#[tokio::test]
async fn exemptions_are_added_and_removed_once_and_each_change_is_an_event() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    let (bypass, emergency) = (Exemption::Bypass, Exemption::Emergency);

    let add = change(bypass, Edit::Add, &["198.18.0.0/15", "2001:DB8::/32"]);
    assert_eq!(store.change(&add).await.unwrap(), changed(&["198.18.0.0/15", "2001:db8::/32"], &[], 2));
    let mut again = change(bypass, Edit::Add, &["198.18.0.0/15", "192.0.2.7"]);
    again.origin = Origin { why: None, actor: "bob".into(), ..again.origin };
    assert_eq!(store.change(&again).await.unwrap(), changed(&["192.0.2.7/32"], &["198.18.0.0/15"], 3));
    let nothing = change(bypass, Edit::Add, &["192.0.2.7"]);
    assert_eq!(store.change(&nothing).await.unwrap(), changed(&[], &["192.0.2.7/32"], 3));
    let remove = change(bypass, Edit::Remove, &["2001:db8::/32", "10.0.0.0/8"]);
    assert_eq!(store.change(&remove).await.unwrap(), changed(&["2001:db8::/32"], &["10.0.0.0/8"], 2));
    let remove = change(emergency, Edit::Remove, &["911", "112", "999"]);
    assert_eq!(store.change(&remove).await.unwrap(), changed(&["911", "112", "999"], &[], 0));

    assert_eq!(
        sqlite3(&path, "SELECT prefix, why, actor, at_ms > 1.7e12 FROM sip_filter_bypass ORDER BY 1"),
        "192.0.2.7/32||bob|1\n198.18.0.0/15|test callers|alice|1",
        "who added it first, and why, stays"
    );
    assert_eq!(
        sqlite3(&path, "SELECT action, actor, via, node, why, written FROM sip_filter_event ORDER BY id"),
        [
            r#"bypass.add|alice|daemon|sbc1|test callers|{"prefix":["198.18.0.0/15","2001:db8::/32"]}"#,
            r#"bypass.add|bob|daemon|sbc1||{"prefix":["192.0.2.7/32"]}"#,
            r#"bypass.remove|alice|daemon|sbc1|test callers|{"prefix":["2001:db8::/32"]}"#,
            r#"emergency.remove|alice|daemon|sbc1|test callers|{"user_part":["911","112","999"]}"#,
        ]
        .join("\n")
    );
    assert_eq!(store.read().await.unwrap().event, None, "none of them has switched maintenance");
}

#[tokio::test]
async fn a_later_change_of_exemptions_does_not_hide_who_switched() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(&directory.path().join("sip-filter.db"), IfMissing::Create).await.unwrap();
    store.switch(&switch(Action::On)).await.unwrap();
    store.change(&change(Exemption::Bypass, Edit::Add, &["198.18.0.0/15"])).await.unwrap();
    assert_eq!(store.read().await.unwrap().event.unwrap().action, "on");
}

#[tokio::test]
async fn entries_of_others_are_found_however_they_are_spelt() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    sqlite3(
        &path,
        "INSERT INTO sip_filter_bypass (prefix) VALUES ('2001:DB8::'), ('2001:db8::/128'), ('198.18.1.7/15')",
    );
    let add = change(Exemption::Bypass, Edit::Add, &["2001:db8::"]);
    assert_eq!(store.change(&add).await.unwrap(), changed(&[], &["2001:db8::/128"], 1));
    let remove = change(Exemption::Bypass, Edit::Remove, &["2001:db8::", "198.18.1.7/15"]);
    assert_eq!(store.change(&remove).await.unwrap(), changed(&["2001:db8::/128", "198.18.1.7/15"], &[], 0));
    assert_eq!(sqlite3(&path, "SELECT count(*) FROM sip_filter_bypass"), "0");
}

#[tokio::test]
async fn a_change_is_done_whole_or_not_at_all() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    let remove = change(Exemption::Emergency, Edit::Remove, &["911", "9 1 1"]);
    assert!(matches!(store.change(&remove).await, Err(Error::Entry(_))), "it could never have been there");

    let most = Exemption::Emergency.max_in_force();
    let digits = "WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n)";
    sqlite3(
        &path,
        &format!("{digits} INSERT INTO sip_filter_emergency (user_part) SELECT i FROM n LIMIT {}", most - 4),
    );
    let add = change(Exemption::Emergency, Edit::Add, &["110", "120"]);
    let Err(error) = store.change(&add).await else { panic!("added") };
    assert!(
        error.recovery() == Recovery::Reject && error.to_string().contains(&format!("at most {most} entries")),
        "{error}"
    );

    sqlite3(&path, "CREATE TRIGGER no BEFORE INSERT ON sip_filter_event BEGIN SELECT RAISE(ABORT, 'no'); END");
    let add = change(Exemption::Emergency, Edit::Add, &["110"]);
    assert!(matches!(store.change(&add).await, Err(Error::Sql { .. })));
    assert_eq!(sqlite3(&path, "SELECT count(*) FROM sip_filter_emergency"), (most - 1).to_string());
    // The connection is out of its transaction.
    sqlite3(&path, "DROP TRIGGER no");
    assert_eq!(store.change(&add).await.unwrap(), changed(&["110"], &[], most));
}

#[tokio::test]
async fn the_list_has_what_is_there_with_who_and_why() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    store.change(&change(Exemption::Emergency, Edit::Add, &["110"])).await.unwrap();
    sqlite3(&path, "INSERT INTO sip_filter_emergency (user_part, why, at_ms) VALUES (x'39ff', x'61ff', 'yesterday')");
    let list = store.list(Exemption::Emergency).await.unwrap();
    let texts: Vec<&str> = list.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(texts, ["110", "112", "911", "999", "9\u{fffd}"]);
    assert_eq!((list[0].actor.as_deref(), list[0].why.as_deref()), (Some("alice"), Some("test callers")));
    assert!(list[0].at.unwrap().duration_until(jiff::Timestamp::now()).abs().as_secs() < 60);
    assert_eq!((&list[1].actor, list[1].why.as_deref(), list[1].at), (&None, Some("default: Europe and GSM"), None));
    assert_eq!((&list[4].actor, list[4].why.as_deref()), (&None, Some("a\u{fffd}")));
}

#[rstest]
#[case::bypass("sip_filter_bypass", "prefix")]
#[case::emergency("sip_filter_emergency", "user_part")]
#[tokio::test]
async fn a_table_of_exemptions_that_is_not_there_is_an_error_of_its_name(#[case] table: &str, #[case] column: &str) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sip-filter.db");
    let (mut store, _) = open(&path, IfMissing::Create).await.unwrap();
    for statement in [format!("ALTER TABLE {table} RENAME COLUMN {column} TO other"), format!("DROP TABLE {table}")] {
        sqlite3(&path, &statement);
        let error = store.read().await.unwrap_err().to_string();
        assert!(error.contains(&format!("cannot read the table {table}")), "{error}");
    }
}
