//! Switches: the rows and events that they write, and how rows are read.

use super::super::{IfMissing, Row};
use super::{Database, switch};
use crate::domain::{Action, Origin, Switch};

#[tokio::test]
async fn switch_updates_its_rows_in_place_and_writes_an_event() {
    let (database, mut store) = Database::with_schema().await;
    database.sql(
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
        database.sql("SELECT id, key_name, key_type, value_type, key_value FROM htable_config ORDER BY id"),
        "5|Maint|0|0|no\n6|maint|0|0|1\n7|maint |0|0|no\n8|maint_code|0|0|480\n9|maint_reason|0|0|Moving\n\
         10|maint_retry_after|0|0|7\n11|maint_percent|0|0|30\n12|maint_methods|0|0|INVITE,OPTIONS",
        "the two rows of `maint` become one, and other rows stay"
    );
    assert_eq!(
        database.sql("SELECT node, actor, via, action, why, written FROM sip_filter_event"),
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
async fn switch_that_fails_half_way_leaves_nothing_behind() {
    let (database, mut store) = Database::with_schema().await;
    database.sql("CREATE TRIGGER no BEFORE INSERT ON sip_filter_event BEGIN SELECT RAISE(ABORT, 'no'); END");
    store.switch(&switch(Action::On)).await.unwrap_err();
    assert_eq!(database.sql("SELECT count(*) FROM htable_config"), "0");
    // The connection has left its transaction: it would lock out this write.
    database.sql("DROP TRIGGER no");
    store.switch(&switch(Action::On)).await.unwrap();
}

#[tokio::test]
async fn values_of_other_types_than_text_are_read_as_text() {
    let database = Database::with_sql("CREATE TABLE htable_config (key_name, key_type, value_type, key_value)");
    database.sql(
        "INSERT INTO htable_config VALUES
         ('maint', '0', 0, 1), ('maint_reason', NULL, 0, x'4cff'), ('maint_code', 0, 1, NULL)",
    );
    let (mut store, _) = database.open(IfMissing::Fail).await.unwrap();
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
