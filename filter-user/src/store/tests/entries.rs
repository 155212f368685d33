//! Lists: adding, removing and listing their entries.

use rstest::rstest;

use super::super::{Error, Recovery};
use super::{Database, switch};
use crate::domain::{Action, Change, Changed, Edit, EntryList, ListKind, Origin};

#[track_caller]
fn change(list: EntryList, edit: Edit, entries: &[&str]) -> Change {
    let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
    let origin = Origin { why: Some("test callers".parse().unwrap()), ..switch(Action::On).origin };
    Change::new(list, edit, &entries, origin).unwrap()
}

fn changed(changed: &[&str], unchanged: &[&str], left: usize) -> Changed {
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Changed { changed: strings(changed), unchanged: strings(unchanged), left }
}

#[tokio::test]
async fn exemptions_are_added_and_removed_once_and_each_change_is_an_event() {
    let (database, mut store) = Database::with_schema().await;
    let (bypass, emergency) = (EntryList::Bypass, EntryList::Emergency);

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
        database.sql("SELECT prefix, why, actor, at_ms > 1.7e12 FROM sip_filter_bypass ORDER BY 1"),
        "192.0.2.7/32||bob|1\n198.18.0.0/15|test callers|alice|1",
        "actor and reason of the first addition stay"
    );
    assert_eq!(
        database.sql("SELECT action, actor, via, node, why, written FROM sip_filter_event ORDER BY id"),
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
async fn sources_and_destinations_of_the_scope_are_added_and_removed_and_each_change_is_an_event() {
    let (database, mut store) = Database::with_schema().await;
    let (source, destination) = (EntryList::ScopeSource, EntryList::ScopeDestination);

    let add = change(source, Edit::Add, &["198.18.0.0/15", "2001:DB8::1"]);
    assert_eq!(store.change(&add).await.unwrap(), changed(&["198.18.0.0/15", "2001:db8::1/128"], &[], 2));
    let add = change(destination, Edit::Add, &["[2001:DB8::2]:5060", "198.18.0.2", "198.18.0.2:5060"]);
    let added = changed(&["[2001:db8::2]:5060", "198.18.0.2", "198.18.0.2:5060"], &[], 3);
    assert_eq!(store.change(&add).await.unwrap(), added, "with and without a port are different entries");
    let again = Changed { unchanged: added.changed, left: 3, ..Changed::default() };
    assert_eq!(store.change(&add).await.unwrap(), again);
    let remove = change(destination, Edit::Remove, &["198.18.0.2", "198.18.0.9"]);
    assert_eq!(store.change(&remove).await.unwrap(), changed(&["198.18.0.2"], &["198.18.0.9"], 2));

    let lists = store.read().await.unwrap().lists;
    assert_eq!(lists.scope_sources, ["198.18.0.0/15", "2001:db8::1/128"]);
    assert_eq!(lists.scope_destinations, ["198.18.0.2:5060", "[2001:db8::2]:5060"]);
    assert_eq!(
        database.sql("SELECT action, actor, via, node, why, written FROM sip_filter_event ORDER BY id"),
        [
            r#"scope.add|alice|daemon|sbc1|test callers|{"source":["198.18.0.0/15","2001:db8::1/128"]}"#,
            r#"scope.add|alice|daemon|sbc1|test callers|{"destination":["[2001:db8::2]:5060","198.18.0.2","198.18.0.2:5060"]}"#,
            r#"scope.remove|alice|daemon|sbc1|test callers|{"destination":["198.18.0.2"]}"#,
        ]
        .join("\n")
    );
    let entries = store.list(ListKind::Scope).await.unwrap();
    let found: Vec<_> = entries.iter().map(|entry| (entry.list, entry.text.as_str())).collect();
    assert_eq!(
        found,
        [
            (source, "198.18.0.0/15"),
            (source, "2001:db8::1/128"),
            (destination, "198.18.0.2:5060"),
            (destination, "[2001:db8::2]:5060"),
        ]
    );
}

#[tokio::test]
async fn change_of_exemptions_does_not_hide_the_last_switch() {
    let (_database, mut store) = Database::with_schema().await;
    store.switch(&switch(Action::On)).await.unwrap();
    store.change(&change(EntryList::Bypass, Edit::Add, &["198.18.0.0/15"])).await.unwrap();
    assert_eq!(store.read().await.unwrap().event.unwrap().action, "on");
}

#[tokio::test]
async fn entries_are_found_in_every_spelling() {
    let (database, mut store) = Database::with_schema().await;
    database.sql("INSERT INTO sip_filter_bypass (prefix) VALUES ('2001:DB8::'), ('2001:db8::/128'), ('198.18.1.7/15')");
    let add = change(EntryList::Bypass, Edit::Add, &["2001:db8::"]);
    assert_eq!(store.change(&add).await.unwrap(), changed(&[], &["2001:db8::/128"], 1));
    let remove = change(EntryList::Bypass, Edit::Remove, &["2001:db8::", "198.18.1.7/15"]);
    assert_eq!(store.change(&remove).await.unwrap(), changed(&["2001:db8::/128", "198.18.1.7/15"], &[], 0));
    assert_eq!(database.sql("SELECT count(*) FROM sip_filter_bypass"), "0");
}

#[tokio::test]
async fn change_of_exemptions_is_made_whole_or_not_at_all() {
    let (database, mut store) = Database::with_schema().await;
    let remove = change(EntryList::Emergency, Edit::Remove, &["911", "9 1 1"]);
    assert!(matches!(store.change(&remove).await, Err(Error::Entry(_))), "it could never have been in the table");

    let most = EntryList::Emergency.max_in_force();
    let digits = "WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n)";
    database.sql(&format!("{digits} INSERT INTO sip_filter_emergency (user_part) SELECT i FROM n LIMIT {}", most - 4));
    let add = change(EntryList::Emergency, Edit::Add, &["110", "120"]);
    let Err(error) = store.change(&add).await else { panic!("added") };
    assert_eq!(error.recovery(), Recovery::Reject);
    assert!(error.to_string().contains(&format!("at most {most} entries can be in force")), "{error}");

    database.sql("CREATE TRIGGER no BEFORE INSERT ON sip_filter_event BEGIN SELECT RAISE(ABORT, 'no'); END");
    let add = change(EntryList::Emergency, Edit::Add, &["110"]);
    assert!(matches!(store.change(&add).await, Err(Error::Sql { .. })));
    assert_eq!(database.sql("SELECT count(*) FROM sip_filter_emergency"), (most - 1).to_string());
    // The connection has left its transaction.
    database.sql("DROP TRIGGER no");
    assert_eq!(store.change(&add).await.unwrap(), changed(&["110"], &[], most));
}

#[tokio::test]
async fn list_shows_every_entry_with_its_actor_and_reason() {
    let (database, mut store) = Database::with_schema().await;
    store.change(&change(EntryList::Emergency, Edit::Add, &["110"])).await.unwrap();
    database.sql("INSERT INTO sip_filter_emergency (user_part, why, at_ms) VALUES (x'39ff', x'61ff', 'yesterday')");
    let list = store.list(ListKind::Emergency).await.unwrap();
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
#[case::scope_source("sip_filter_scope_source", "prefix")]
#[case::scope_destination("sip_filter_scope_destination", "address")]
#[tokio::test]
async fn error_of_a_missing_table_of_a_list_names_the_table(#[case] table: &str, #[case] column: &str) {
    let (database, mut store) = Database::with_schema().await;
    for statement in [format!("ALTER TABLE {table} RENAME COLUMN {column} TO other"), format!("DROP TABLE {table}")] {
        database.sql(&statement);
        let error = store.read().await.unwrap_err().to_string();
        assert!(error.contains(&format!("cannot read the table {table}")), "{error}");
    }
}
