//! Writes to servers: switches, events, lists and the reports of hosts.

use std::thread;

use filter_lab::database::Kind;
use filter_user::domain::{Action, Change, Channel, Edit, EntryList, Hosts, ListKind, NodeReport, Switch};
use filter_user::store::IfMissing;
use jiff::Timestamp;
use rstest::rstest;

use super::{node, open, origin, rows, runtime, start, switch};

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn keys_of_the_policy_table_are_compared_byte_by_byte(#[case] kind: Kind) {
    let (server, mut store) = start(kind).await;
    server.sql(
        "INSERT INTO htable_config (key_name, key_value) VALUES
         ('Maint', 'no'), ('maint ', 'no'), ('maint', '7'), ('maint', '8')",
    );
    let event = store.switch(&switch(Action::On, Hosts::Cluster)).await.unwrap();
    let keys = "SELECT key_name, key_value FROM htable_config ORDER BY id";
    let rows = server.sql(keys).replace('\t', "=");
    assert_eq!(rows, "Maint=no\nmaint =no\nmaint=1", "the two rows of `maint` become one, others stay");
    let reading = store.read().await.unwrap();
    assert_eq!((reading.last_event, reading.event.map(|event| event.id)), (event, Some(event)));
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn row_of_one_host_is_kept_until_all_hosts_are_switched(#[case] kind: Kind) {
    let (server, mut store) = start(kind).await;
    let until = Timestamp::from_second(4_000_000_000).unwrap();
    store.switch(&Switch { until: Some(until), ..switch(Action::On, Hosts::Cluster) }).await.unwrap();
    store.switch(&switch(Action::Off, Hosts::One(node("sbc2")))).await.unwrap();
    let expected = ["maint=1", "maint@sbc2=0", "maint_until=4000000000"];
    assert_eq!(rows(&server), expected, "the planned end of the other hosts stays");
    store.switch(&switch(Action::Off, Hosts::Cluster)).await.unwrap();
    assert_eq!(rows(&server), ["maint=0", "maint@sbc2=0"]);
    store.switch(&switch(Action::On, Hosts::All)).await.unwrap();
    assert_eq!(rows(&server), ["maint=1"]);
    let events = store.history(10).await.unwrap();
    let found: Vec<_> = events.iter().map(|event| (event.action.as_str(), event.target.as_deref())).collect();
    assert_eq!(found, [("on", None), ("off", None), ("off", Some("sbc2")), ("on", None)]);
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn change_from_outside_and_planned_end_are_recorded_once_by_two_hosts(#[case] kind: Kind) {
    let (server, mut store) = start(kind).await;
    let (mut other, _) = open(&server, "sbc2", IfMissing::Fail).await.unwrap();
    server.sql("INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '1')");
    for host in [&mut store, &mut other] {
        host.note_changes_from_outside(&origin("unknown")).await.unwrap();
    }
    let events = store.history(10).await.unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].action.as_str(), events[0].via.as_str()), ("on", Channel::Outside.name()));

    let insert = "INSERT INTO htable_config (key_name, key_value) VALUES ('maint_until', '1000'), ('maint@sbc2', '1')";
    server.sql(insert);
    assert!(store.end_as_planned(&origin("unknown")).await.unwrap(), "the first host ends maintenance");
    assert!(!other.end_as_planned(&origin("unknown")).await.unwrap(), "the second host finds it ended");
    assert_eq!(rows(&server), ["maint=0"]);
    assert_eq!(store.history(10).await.unwrap().len(), 2);
}

/// No row is written twice, nothing deadlocks, and the rows are those of the last event.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn two_hosts_that_switch_at_the_same_time_leave_the_state_of_the_last_event(#[case] kind: Kind) {
    let (server, store) = runtime().block_on(start(kind));
    drop(store);
    let toggle = |name: &'static str, first: Action| {
        let server = &server;
        move || {
            runtime().block_on(async {
                let (mut store, _) = open(server, name, IfMissing::Fail).await.unwrap();
                for round in 0..20 {
                    let other = if first == Action::On { Action::Off } else { Action::On };
                    let action = if round % 2 == 0 { first } else { other };
                    let event = store.switch(&switch(action, Hosts::Cluster)).await;
                    event.unwrap_or_else(|error| panic!("switch {round} of {name} to {action}: {error}"));
                }
            });
        }
    };
    thread::scope(|scope| {
        scope.spawn(toggle("sbc1", Action::On));
        scope.spawn(toggle("sbc2", Action::Off));
    });
    runtime().block_on(async {
        let (mut store, _) = open(&server, "sbc1", IfMissing::Fail).await.unwrap();
        let events = store.history(100).await.unwrap();
        assert_eq!(events.len(), 40);
        let flag = if events[0].action == "on" { "maint=1" } else { "maint=0" };
        assert_eq!(rows(&server), [flag]);
    });
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn bypass_prefixes_are_added_and_removed_on_a_server_as_in_sqlite(#[case] kind: Kind) {
    let (server, mut store) = start(kind).await;
    let change = |edit, entries: &[&str]| {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Change::new(EntryList::Bypass, edit, &entries, origin("alice")).unwrap()
    };
    // Another spelling of a prefix that is added next.
    server.sql("INSERT INTO sip_filter_bypass (prefix) VALUES ('2001:DB8::/32')");
    let done = store.change(&change(Edit::Add, &["198.18.0.0/15", "2001:db8::/32"])).await.unwrap();
    assert_eq!((done.changed.len(), done.unchanged.len(), done.left), (1, 1, 2));
    assert_eq!(store.read().await.unwrap().lists.bypass, ["198.18.0.0/15", "2001:DB8::/32"]);
    store.change(&change(Edit::Remove, &["2001:db8::/32"])).await.unwrap();
    let entries = store.list(ListKind::Bypass).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].actor.as_deref(), entries[0].why.as_deref()), (Some("alice"), Some("upgrade")));
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn scope_is_changed_on_a_server_as_in_sqlite(#[case] kind: Kind) {
    let (server, mut store) = start(kind).await;
    let change = |list, edit, entries: &[&str]| {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Change::new(list, edit, &entries, origin("alice")).unwrap()
    };
    // Other spellings of entries that are added next.
    server.sql("INSERT INTO sip_filter_scope_source (prefix) VALUES ('2001:DB8::/32')");
    server.sql("INSERT INTO sip_filter_scope_destination (address) VALUES ('[2001:DB8::2]:5060')");
    let add = change(EntryList::ScopeSource, Edit::Add, &["198.18.0.0/15", "2001:db8::/32"]);
    let done = store.change(&add).await.unwrap();
    assert_eq!((done.changed.len(), done.unchanged.len(), done.left), (1, 1, 2));
    let add = change(EntryList::ScopeDestination, Edit::Add, &["198.18.0.2", "[2001:db8::2]:5060"]);
    let done = store.change(&add).await.unwrap();
    assert_eq!((done.changed.len(), done.unchanged.len(), done.left), (1, 1, 2));
    let lists = store.read().await.unwrap().lists;
    assert_eq!(lists.scope_sources, ["198.18.0.0/15", "2001:DB8::/32"]);
    assert_eq!(lists.scope_destinations.len(), 2, "{lists:?}");

    store.change(&change(EntryList::ScopeSource, Edit::Remove, &["198.18.0.0/15", "2001:db8::/32"])).await.unwrap();
    store.change(&change(EntryList::ScopeDestination, Edit::Remove, &["[2001:db8::2]:5060"])).await.unwrap();
    let entries = store.list(ListKind::Scope).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].list, entries[0].text.as_str()), (EntryList::ScopeDestination, "198.18.0.2"));
    assert_eq!((entries[0].actor.as_deref(), entries[0].why.as_deref()), (Some("alice"), Some("upgrade")));
    let events = store.history(10).await.unwrap();
    let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["scope.remove", "scope.remove", "scope.add", "scope.add"]);
    assert_eq!(events[3].written.to_string(), r#"{"source":["198.18.0.0/15"]}"#);
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn hosts_see_the_event_that_each_has_applied_and_whether_it_is_alive(#[case] kind: Kind) {
    let (server, mut store) = start(kind).await;
    let (mut other, _) = open(&server, "sbc2", IfMissing::Fail).await.unwrap();
    let report = |event| NodeReport {
        interfaces: "eth0,eth1".into(),
        maintenance: true,
        state: "maintenance on: 503 Maintenance".into(),
        event,
        applied: Timestamp::now(),
    };
    store.report(&report(6), true).await.unwrap();
    store.report(&report(7), true).await.unwrap();
    other.report(&report(5), false).await.unwrap();
    let nodes = store.nodes().await.unwrap();
    let seen: Vec<_> = nodes.iter().map(|node| (node.node.as_str(), node.event, node.alive)).collect();
    assert_eq!(seen, [("sbc1", 7, true), ("sbc2", 5, false)]);
    assert!(nodes[0].heard_ms < 10_000, "age of the report by the database's clock: {nodes:?}");
    server.sql("UPDATE sip_filter_node SET heard_ms = heard_ms - 20000 WHERE node = 'sbc1'");
    assert!(!other.nodes().await.unwrap()[0].alive);
}
