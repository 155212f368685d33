//! How a change on a server is noticed, and what is noticed of an outage.

use std::time::Duration;

use anyhow::Result;
use filter_lab::database::{Kind, Server};
use filter_user::store::{Action, Error, Missing, Scope, Store};
use nix::sys::signal::Signal;
use rstest::rstest;
use tokio::time::timeout;

use super::{open, start, switch};

const PATIENCE: Duration = Duration::from_secs(10);

/// Takes up what has been told so far, and reads.
async fn settle(store: &mut Store) -> Result<()> {
    while timeout(Duration::from_millis(400), store.changed()).await.is_ok_and(|changed| changed.is_ok()) {}
    store.read().await?;
    Ok(())
}

/// Each change that anybody makes is noticed; and without one there is nothing.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_noticed(#[case] kind: Kind) -> Result<()> {
    let (server, mut store) = start(kind).await?;
    for statement in [
        "INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '1')",
        "UPDATE htable_config SET key_value = '0' WHERE key_name = 'maint'",
        "UPDATE htable_config SET value_type = 1 WHERE key_name = 'maint'",
        "INSERT INTO sip_filter_bypass (prefix) VALUES ('198.18.0.0/15')",
        "DELETE FROM sip_filter_emergency WHERE user_part = '999'",
        "DELETE FROM htable_config",
    ] {
        settle(&mut store).await?;
        assert!(timeout(Duration::from_millis(300), store.changed()).await.is_err(), "nothing has changed");
        server.sql(statement);
        timeout(PATIENCE, store.changed()).await.expect(statement)?;
    }
    let (mut other, _) = open(&server, "sbc2", Missing::Refuse).await?;
    settle(&mut store).await?;
    other.switch(&switch(Action::On, Scope::Cluster)).await?;
    timeout(PATIENCE, store.changed()).await.expect("a switch by another host")?;
    Ok(())
}

/// A trigger that is lost with its table costs time, and not the change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_without_its_trigger_is_noticed_too() -> Result<()> {
    let (server, mut store) = start(Kind::Postgres).await?;
    server.sql("DROP TRIGGER sip_filter_notify ON htable_config");
    settle(&mut store).await?;
    server.sql("INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '1')");
    timeout(PATIENCE, store.changed()).await??;
    Ok(())
}

/// An outage is an error of [`Store::changed`] within the time in which an alarm is due.
#[rstest]
#[case::killed(Server::kill)]
#[case::stopped(Server::stop)]
#[case::hung(|server: &mut Server| server.signal(Signal::SIGSTOP))]
#[case::disconnected(|server: &mut Server| server.disconnect())]
#[case::table_dropped(|server: &mut Server| { server.sql("DROP TABLE htable_config"); })]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_noticed(
    #[values(Kind::Mariadb, Kind::Postgres)] kind: Kind,
    #[case] cause: fn(&mut Server),
) -> Result<()> {
    let (mut server, mut store) = start(kind).await?;
    settle(&mut store).await?;
    cause(&mut server);
    let noticed = timeout(Duration::from_secs(5), async {
        // What is told last before the end is a change.
        loop {
            if let Err(error) = store.changed().await {
                break error;
            }
        }
    });
    noticed.await?;
    Ok(())
}

/// The connection that has had nothing to do was ended by the server: the switch is refused as not written, so that it can
/// be written by a new one.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn a_switch_over_a_lost_connection_writes_nothing(#[case] kind: Kind) -> Result<()> {
    let (server, mut store) = start(kind).await?;
    server.disconnect();
    let error = store.switch(&switch(Action::On, Scope::Cluster)).await.unwrap_err();
    assert!(matches!(error, Error::Stale(_)) && error.is_stale(), "{error}");
    assert_eq!(server.sql("SELECT COUNT(*) FROM htable_config"), "0");
    Ok(())
}
