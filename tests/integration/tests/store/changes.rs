//! Detection of changes on a server, and of outages.

use std::time::Duration;

use filter_lab::database::{Kind, Server};
use filter_user::domain::{Action, Hosts};
use filter_user::store::{Error, IfMissing, Recovery, Store};
use nix::sys::signal::Signal;
use rstest::rstest;
use tokio::time::timeout;

use super::{open, start, switch};

/// Time limit for a change to be noticed. Far above every interval at which a server is polled.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for an outage to be noticed: an alarm is due by then.
const OUTAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time without a report after which all changes count as reported.
const QUIET: Duration = Duration::from_millis(400);

/// Consumes the reports of all changes so far, and reads the database.
async fn settle(store: &mut Store) {
    while timeout(QUIET, store.changed()).await.is_ok_and(|changed| changed.is_ok()) {}
    store.read().await.expect("read the database");
}

/// Waits until a change, caused by `cause`, is noticed.
async fn expect_change(store: &mut Store, cause: &str) {
    let changed = timeout(CHANGE_TIMEOUT, store.changed()).await;
    let changed = changed.unwrap_or_else(|_| panic!("no change noticed within {CHANGE_TIMEOUT:?} after: {cause}"));
    changed.unwrap_or_else(|error| panic!("waiting for a change after: {cause}: {error}"));
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_the_database_is_noticed_and_nothing_else(#[case] kind: Kind) {
    let (server, mut store) = start(kind).await;
    for statement in [
        "INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '1')",
        "UPDATE htable_config SET key_value = '0' WHERE key_name = 'maint'",
        "UPDATE htable_config SET value_type = 1 WHERE key_name = 'maint'",
        "INSERT INTO sip_filter_bypass (prefix) VALUES ('198.18.0.0/15')",
        "DELETE FROM sip_filter_emergency WHERE user_part = '999'",
        "INSERT INTO sip_filter_scope_source (prefix) VALUES ('198.18.0.0/15')",
        "INSERT INTO sip_filter_scope_destination (address) VALUES ('198.18.0.2:5060')",
        "UPDATE sip_filter_scope_destination SET address = '198.18.0.2:5061'",
        "DELETE FROM sip_filter_scope_source",
        "DELETE FROM htable_config",
    ] {
        settle(&mut store).await;
        let spurious = timeout(Duration::from_millis(300), store.changed()).await;
        assert!(spurious.is_err(), "reported without a change, before {statement}: {spurious:?}");
        server.sql(statement);
        expect_change(&mut store, statement).await;
    }
    let (mut other, _) = open(&server, "sbc2", IfMissing::Fail).await.unwrap();
    settle(&mut store).await;
    other.switch(&switch(Action::On, Hosts::Cluster)).await.unwrap();
    expect_change(&mut store, "a switch by another host").await;
}

/// The slow poll finds a change without a notification. A trigger disappears with its table, for example.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_in_postgresql_is_noticed_without_the_notify_trigger() {
    let (server, mut store) = start(Kind::Postgres).await;
    server.sql("DROP TRIGGER sip_filter_notify ON htable_config");
    settle(&mut store).await;
    let statement = "INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '1')";
    server.sql(statement);
    expect_change(&mut store, statement).await;
}

#[rstest]
#[case::killed(|server: &mut Server| server.kill())]
#[case::stopped(|server: &mut Server| server.stop())]
#[case::hung(|server: &mut Server| server.signal(Signal::SIGSTOP))]
#[case::disconnected(|server: &mut Server| server.disconnect())]
#[case::table_dropped(|server: &mut Server| drop(server.sql("DROP TABLE htable_config")))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage_of_the_database_is_noticed_before_an_alarm_is_due(
    #[values(Kind::Mariadb, Kind::Postgres)] kind: Kind,
    #[case] cause: fn(&mut Server),
) {
    let (mut server, mut store) = start(kind).await;
    settle(&mut store).await;
    cause(&mut server);
    // The last report before the end may be a change.
    let noticed = timeout(OUTAGE_TIMEOUT, async { while store.changed().await.is_ok() {} }).await;
    assert!(noticed.is_ok(), "no outage noticed within {OUTAGE_TIMEOUT:?}");
}

/// The server has closed an idle connection: the switch fails as not written, so that it can be repeated on a new one.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn switch_on_a_closed_connection_fails_and_writes_nothing(#[case] kind: Kind) {
    let (server, mut store) = start(kind).await;
    server.disconnect();
    let error = store.switch(&switch(Action::On, Hosts::Cluster)).await.unwrap_err();
    assert!(matches!(error, Error::Stale(_)) && error.recovery() == Recovery::Retry, "{error}");
    assert_eq!(server.sql("SELECT COUNT(*) FROM htable_config"), "0");
}
