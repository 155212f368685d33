//! Switches on servers: rows, events, exemptions, hosts.

use std::thread;

use anyhow::Result;
use filter_lab::database::Kind;
use filter_user::store::{Action, Change, Edit, Exemption, Missing, NodeReport, Scope, Via};
use jiff::Timestamp;
use rstest::rstest;

use super::{node, open, origin, rows, start, switch};

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn keys_are_compared_octet_by_octet(#[case] kind: Kind) -> Result<()> {
    let (server, mut store) = start(kind).await?;
    server.sql(
        "INSERT INTO htable_config (key_name, key_value) VALUES
         ('Maint', 'no'), ('maint ', 'no'), ('maint', '7'), ('maint', '8')",
    );
    let event = store.switch(&switch(Action::On, Scope::Cluster)).await?;
    let keys = "SELECT key_name, key_value FROM htable_config ORDER BY id";
    assert_eq!(server.sql(keys).replace('\t', "="), "Maint=no\nmaint =no\nmaint=1", "the two of `maint` are one now");
    let reading = store.read().await?;
    assert_eq!((reading.last_event, reading.event.map(|event| event.id)), (event, Some(event)));
    Ok(())
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn a_host_has_a_row_of_its_own_until_all_are_switched(#[case] kind: Kind) -> Result<()> {
    let (server, mut store) = start(kind).await?;
    let until = Timestamp::from_second(4_000_000_000)?;
    store.switch(&filter_user::store::Switch { until: Some(until), ..switch(Action::On, Scope::Cluster) }).await?;
    store.switch(&switch(Action::Off, Scope::Node(node("sbc2")))).await?;
    assert_eq!(rows(&server)?, ["maint=1", "maint@sbc2=0", "maint_until=4000000000"], "the others' plan stays");
    store.switch(&switch(Action::Off, Scope::Cluster)).await?;
    assert_eq!(rows(&server)?, ["maint=0", "maint@sbc2=0"]);
    store.switch(&switch(Action::On, Scope::Everywhere)).await?;
    assert_eq!(rows(&server)?, ["maint=1"]);
    let targets: Vec<_> = store.history(10).await?.into_iter().map(|event| (event.action, event.target)).collect();
    let of = |action: &str, target: Option<&str>| (action.to_owned(), target.map(str::to_owned));
    assert_eq!(targets, [of("on", None), of("off", None), of("off", Some("sbc2")), of("on", None)]);
    Ok(())
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn a_planned_end_and_a_change_from_outside_are_told_once(#[case] kind: Kind) -> Result<()> {
    let (server, mut store) = start(kind).await?;
    let (mut other, _) = open(&server, "sbc2", Missing::Refuse).await?;
    server.sql("INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '1')");
    for host in [&mut store, &mut other] {
        host.note_changes_from_outside(&origin("unknown")).await?;
    }
    let events = store.history(10).await?;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].action.as_str(), events[0].via.as_str()), ("on", Via::Outside.name()));

    server.sql("INSERT INTO htable_config (key_name, key_value) VALUES ('maint_until', '1000'), ('maint@sbc2', '1')");
    assert!(store.end_as_planned(&origin("unknown")).await?);
    assert!(!other.end_as_planned(&origin("unknown")).await?);
    assert_eq!(rows(&server)?, ["maint=0"]);
    assert_eq!(store.history(10).await?.len(), 2);
    Ok(())
}

/// Two hosts that switch at the same instant, again and again: no row is written twice, nothing deadlocks, and both read
/// the same in the end, which is what the last event says.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn hosts_that_switch_at_the_same_instant_end_in_the_same_state(#[case] kind: Kind) -> Result<()> {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, store) = runtime().block_on(start(kind))?;
    drop(store);
    let toggle = |name: &'static str, first: Action| {
        let server = &server;
        move || {
            runtime().block_on(async {
                let (mut store, _) = open(server, name, Missing::Refuse).await?;
                for round in 0..20 {
                    let other = if first == Action::On { Action::Off } else { Action::On };
                    store.switch(&switch(if round % 2 == 0 { first } else { other }, Scope::Cluster)).await?;
                }
                Ok::<_, filter_user::store::Error>(())
            })
        }
    };
    thread::scope(|scope| {
        let hosts = [scope.spawn(toggle("sbc1", Action::On)), scope.spawn(toggle("sbc2", Action::Off))];
        hosts.into_iter().try_for_each(|host| host.join().unwrap())
    })?;
    runtime().block_on(async {
        let (mut store, _) = open(&server, "sbc1", Missing::Refuse).await?;
        let events = store.history(100).await?;
        assert_eq!(events.len(), 40);
        let flag = if events[0].action == "on" { "maint=1" } else { "maint=0" };
        assert_eq!(rows(&server)?, [flag]);
        Ok(())
    })
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn exemptions_are_changed_as_in_sqlite(#[case] kind: Kind) -> Result<()> {
    let (server, mut store) = start(kind).await?;
    let change = |edit, entries: &[&str]| {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Change::new(Exemption::Bypass, edit, &entries, origin("alice")).unwrap()
    };
    // Another spelling of what is added next.
    server.sql("INSERT INTO sip_filter_bypass (prefix) VALUES ('2001:DB8::/32')");
    let done = store.change(&change(Edit::Add, &["198.18.0.0/15", "2001:db8::/32"])).await?;
    assert_eq!((done.changed.len(), done.unchanged.len(), done.left), (1, 1, 2));
    assert_eq!(store.read().await?.bypass, ["198.18.0.0/15", "2001:DB8::/32"]);
    store.change(&change(Edit::Remove, &["2001:db8::/32"])).await?;
    let entries = store.list(Exemption::Bypass).await?;
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].actor.as_deref(), entries[0].why.as_deref()), (Some("alice"), Some("upgrade")));
    Ok(())
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn hosts_tell_each_other_what_they_have_applied(#[case] kind: Kind) -> Result<()> {
    let (server, mut store) = start(kind).await?;
    let (mut other, _) = open(&server, "sbc2", Missing::Refuse).await?;
    let report = |event| NodeReport {
        interfaces: "eth0,eth1".into(),
        maintenance: true,
        state: "maintenance on: 503 Maintenance".into(),
        event,
        applied: Timestamp::now(),
    };
    store.report(&report(6), true).await?;
    store.report(&report(7), true).await?;
    other.report(&report(5), false).await?;
    let nodes = store.nodes().await?;
    let seen: Vec<_> = nodes.iter().map(|node| (node.node.as_str(), node.event, node.alive)).collect();
    assert_eq!(seen, [("sbc1", 7, true), ("sbc2", 5, false)]);
    assert!(nodes[0].heard_ms < 10_000, "by the database's clock: {nodes:?}");
    server.sql("UPDATE sip_filter_node SET heard_ms = heard_ms - 20000 WHERE node = 'sbc1'");
    assert!(!other.nodes().await?[0].alive);
    Ok(())
}
