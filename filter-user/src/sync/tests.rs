//! Tests of the keeper with real SQLite files, which the `sqlite3` tool changes, and a record of the policies in force.

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rstest::rstest;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Command, Enforcer, Error, Keeper, NotInForce, Snapshot, Source};
use crate::config::Settings;
use crate::dataplane;
use crate::domain::{
    Action, Alarm, Change, Changed, Channel, Edit, EntryList, Hosts, ListKind, Origin, Policy, Scope, Switch,
};
use crate::store::sqlite3;

/// Far longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An enforcer that records the policies, and rejects all once it has stopped.
#[derive(Clone, Default)]
struct Record {
    policies: Arc<Mutex<Vec<Arc<Policy>>>>,
    stopped: Arc<AtomicBool>,
}

impl Record {
    fn last(&self) -> Option<Arc<Policy>> {
        self.policies.lock().unwrap().last().cloned()
    }
}

impl Enforcer for Record {
    async fn apply(&mut self, policy: Arc<Policy>) -> Result<(), dataplane::Error> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(dataplane::Error::Stopped);
        }
        self.policies.lock().unwrap().push(policy);
        Ok(())
    }
}

struct Host {
    directory: TempDir,
}

/// A running keeper.
struct Running {
    commands: mpsc::Sender<Command>,
    snapshot: watch::Receiver<Snapshot>,
    record: Record,
    stop: CancellationToken,
    keeper: JoinHandle<Result<(), NotInForce>>,
}

impl Host {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("sip-filter.db")
    }

    fn settings(&self) -> Settings {
        Settings::for_test(self.directory.path())
    }

    #[track_caller]
    fn sql(&self, statement: &str) -> String {
        sqlite3(&self.database(), statement)
    }

    async fn run(&self) -> Running {
        let keeper = Keeper::prepare(&self.settings(), &["eth0".into()]).await.unwrap();
        let (sender, commands) = mpsc::channel(8);
        let (publish, snapshot) = watch::channel(keeper.snapshot());
        let (record, stop) = (Record::default(), CancellationToken::new());
        let keeper = tokio::spawn(keeper.run(record.clone(), commands, publish, stop.clone()));
        Running { commands: sender, snapshot, record, stop, keeper }
    }
}

impl Running {
    /// Waits until a snapshot is as `wanted`, and returns it.
    async fn until(&mut self, wanted: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        if let Ok(snapshot) = timeout(TIMEOUT, self.snapshot.wait_for(wanted)).await {
            return snapshot.unwrap().clone();
        }
        panic!("waited {TIMEOUT:?} in vain, the snapshot is {:?}", self.snapshot.borrow())
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        self.commands.send(command(sender)).await.unwrap();
        receiver.await.unwrap()
    }

    async fn switch(&self, action: Action) -> Result<Snapshot, Error> {
        let switch = Switch::new(action, Hosts::Cluster, origin("upgrade"));
        self.ask(|reply| Command::Switch(switch, reply)).await.map(|(_, snapshot)| snapshot)
    }

    async fn change(&self, edit: Edit, prefix: &str) -> Result<(Changed, Snapshot), Error> {
        let change = Change::new(EntryList::Bypass, edit, &[prefix.to_owned()], origin("test callers")).unwrap();
        self.ask(|reply| Command::Change(change, reply)).await
    }
}

fn origin(why: &str) -> Origin {
    Origin { actor: "alice".into(), why: Some(why.parse().unwrap()), channel: Channel::Daemon, node: "sbc1".into() }
}

fn alarms(snapshot: &Snapshot) -> Vec<Alarm> {
    snapshot.alarms.raised().iter().map(|raised| raised.alarm.clone()).collect()
}

fn database_alarm(snapshot: &Snapshot) -> Option<String> {
    alarms(snapshot).into_iter().find_map(|alarm| match alarm {
        Alarm::Database { error, .. } => Some(error),
        _ => None,
    })
}

const TABLE: &str = "CREATE TABLE htable_config (id INTEGER PRIMARY KEY, key_name TEXT, key_type INT DEFAULT 0,
    value_type INT DEFAULT 0, key_value TEXT)";
const ON: &str = "INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '1')";

#[tokio::test]
async fn first_run_is_off_and_follows_the_row_maint() {
    let host = Host::new();
    let mut running = host.run().await;
    let first = running.snapshot.borrow().clone();
    assert_eq!((&*first.policy, first.source, first.reachable), (&Policy::default(), Source::Database, true));

    host.sql(ON);
    let on = running.until(|now| now.policy.maintenance).await;
    assert_eq!(on.since.unwrap().who, None, "SQL does not say who");
    host.sql("UPDATE htable_config SET key_value = '0'");
    running.until(|now| !now.policy.maintenance).await;
    let applied: Vec<bool> = running.record.policies.lock().unwrap().iter().map(|policy| policy.maintenance).collect();
    assert_eq!(applied, [true, false]);
}

#[tokio::test]
async fn switch_is_written_and_in_force_by_the_time_of_its_reply() {
    let host = Host::new();
    let running = host.run().await;
    for (action, value) in [(Action::On, "1"), (Action::Off, "0")] {
        let snapshot = running.switch(action).await.unwrap();
        assert_eq!(snapshot.policy.maintenance, action == Action::On);
        assert_eq!(running.record.last().unwrap().maintenance, action == Action::On);
        assert_eq!(host.sql("SELECT key_value FROM htable_config WHERE key_name = 'maint'"), value);
        let since = snapshot.since.unwrap();
        assert_eq!((since.who.as_deref(), since.why.as_deref()), (Some("alice"), Some("upgrade")));
    }
}

#[tokio::test]
async fn commands_and_changes_in_any_order_end_in_what_the_row_says() {
    let host = Host::new();
    let mut running = host.run().await;
    for step in 0..30 {
        if step % 3 == 0 {
            running.switch(Action::On).await.unwrap();
            host.sql("UPDATE htable_config SET key_value = '0' WHERE key_name = 'maint'");
        }
        running.ask(Command::Reload).await.unwrap();
    }
    running.until(|now| !now.policy.maintenance).await;
    host.sql("UPDATE htable_config SET key_value = '1' WHERE key_name = 'maint'");
    running.until(|now| now.policy.maintenance).await;
}

#[tokio::test]
async fn writer_without_a_busy_timeout_never_finds_the_database_locked() {
    let host = Host::new();
    let mut running = host.run().await;
    host.sql(ON);
    let statements = "UPDATE htable_config SET key_value = '1' WHERE key_name = 'maint';
                      UPDATE htable_config SET key_value = '0' WHERE key_name = 'maint';\n"
        .repeat(1000);
    let (database, script) = (host.database(), host.directory.path().join("script.sql"));
    std::fs::write(&script, statements).unwrap();
    let output = tokio::task::spawn_blocking(move || {
        Process::new("sqlite3").arg("-bail").arg(database).arg(format!(".read {}", script.display())).output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    running.until(|now| !now.policy.maintenance).await;
}

/// Cases: how the database goes away, and how it comes back.
#[rstest]
#[case::table_dropped(
    |host: &Host| { host.sql("ALTER TABLE htable_config RENAME TO elsewhere"); },
    |host: &Host| { host.sql("ALTER TABLE elsewhere RENAME TO htable_config; UPDATE htable_config SET key_value = '0'"); }
)]
#[case::file_deleted_and_created_by_hand(
    |host: &Host| std::fs::remove_file(host.database()).unwrap(),
    |host: &Host| {
        host.sql(&format!("{TABLE}; {ON}; UPDATE htable_config SET key_value = '0'"));
    }
)]
#[case::overwritten_and_restored(
    |host: &Host| {
        // Otherwise everything is still in the write-ahead log, from which SQLite would read it.
        host.sql("PRAGMA wal_checkpoint(TRUNCATE)");
        std::fs::rename(host.database(), host.directory.path().join("saved")).unwrap();
        std::fs::write(host.database(), "this is not a database, whatever its name says").unwrap();
    },
    |host: &Host| {
        std::fs::rename(host.directory.path().join("saved"), host.database()).unwrap();
        host.sql("UPDATE htable_config SET key_value = '0'");
    }
)]
#[tokio::test]
async fn last_known_state_holds_while_the_database_is_down(#[case] down: fn(&Host), #[case] up: fn(&Host)) {
    let host = Host::new();
    let mut running = host.run().await;
    running.switch(Action::On).await.unwrap();

    down(&host);
    let lost = running.until(|now| database_alarm(now).is_some()).await;
    assert!(lost.policy.maintenance && !lost.reachable);
    assert!(matches!(running.switch(Action::Off).await, Err(Error::NotWritten(_))));
    assert!(matches!(running.ask(Command::Reload).await, Err(Error::NotRead(_))));
    assert!(running.snapshot.borrow().policy.maintenance);

    up(&host);
    let back = running.until(|now| !now.policy.maintenance).await;
    assert!(database_alarm(&back).is_none() && back.reachable);
}

#[rstest]
#[case::gone(
    "ALTER TABLE sip_filter_bypass RENAME TO elsewhere",
    "ALTER TABLE elsewhere RENAME TO sip_filter_bypass",
    "sip_filter_bypass"
)]
#[case::of_another_shape(
    "ALTER TABLE sip_filter_emergency RENAME COLUMN user_part TO other",
    "ALTER TABLE sip_filter_emergency RENAME COLUMN other TO user_part",
    "sip_filter_emergency"
)]
#[tokio::test]
async fn table_of_exemptions_that_cannot_be_read_is_an_outage(
    #[case] down: &str,
    #[case] up: &str,
    #[case] table: &str,
) {
    let host = Host::new();
    let mut running = host.run().await;
    host.sql("INSERT INTO sip_filter_bypass (prefix) VALUES ('10.0.0.0/8')");
    running.until(|now| now.policy.bypass.len() == 1).await;
    let before = running.switch(Action::On).await.unwrap().policy;

    host.sql(down);
    let lost = running.until(|now| database_alarm(now).is_some()).await;
    assert!(database_alarm(&lost).unwrap().contains(table));
    assert_eq!(lost.policy, before);
    let error = running.switch(Action::Off).await.unwrap_err();
    assert!(matches!(error, Error::NotReadBack(_)) && error.to_string().contains("is written"), "{error}");
    assert_eq!(running.snapshot.borrow().policy, before);

    host.sql(up);
    let back = running.until(|now| !now.policy.maintenance).await;
    assert_eq!((database_alarm(&back), back.policy.bypass.len()), (None, 1));
}

/// SQLite rolls a transaction back by itself when the disk is full, or when a trigger says so.
#[tokio::test]
async fn switch_works_after_the_database_has_rolled_back_another_one_by_itself() {
    let host = Host::new();
    let mut running = host.run().await;
    host.sql("CREATE TRIGGER full BEFORE INSERT ON sip_filter_event BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END");
    for _ in 0..2 {
        let Err(Error::NotWritten(error)) = running.switch(Action::On).await else { panic!("written") };
        assert!(error.to_string().contains("disk is full"), "{error}");
        assert!(!running.snapshot.borrow().policy.maintenance);
    }
    host.sql("DROP TRIGGER full");
    assert!(running.switch(Action::On).await.unwrap().policy.maintenance);
    host.sql("UPDATE htable_config SET key_value = '0'");
    running.until(|now| !now.policy.maintenance).await;
}

#[tokio::test]
async fn locked_database_is_an_alarm_and_changes_nothing() {
    let host = Host::new();
    // Created by hand, so it has a rollback journal: in WAL mode no writer can lock out a reader.
    host.sql(&format!("{TABLE}; {ON}"));
    let mut running = host.run().await;
    assert!(running.snapshot.borrow().policy.maintenance);

    let mut locker = Process::new("sqlite3").arg(host.database()).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = locker.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b".timeout 10000\nBEGIN EXCLUSIVE;\n").unwrap();
    let lost = running.until(|now| database_alarm(now).is_some()).await;
    assert!(lost.policy.maintenance);
    assert!(database_alarm(&lost).unwrap().contains("locked"));
    drop(stdin);
    locker.wait().unwrap();
    running.until(|now| database_alarm(now).is_none()).await;
}

#[tokio::test]
async fn duplicate_row_is_an_alarm_until_a_switch_fixes_it() {
    let host = Host::new();
    let mut running = host.run().await;
    host.sql(ON);
    running.until(|now| now.policy.maintenance).await;

    host.sql("INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '0')");
    let held = running.until(|now| !alarms(now).is_empty()).await;
    assert_eq!(alarms(&held), [Alarm::Duplicate { key: "maint".into(), rows: 2 }]);
    assert!(held.policy.maintenance);

    // The switch replaces both rows by one.
    let fixed = running.switch(Action::Off).await.unwrap();
    assert_eq!((alarms(&fixed), fixed.policy.maintenance), (vec![], false));
}

#[tokio::test]
async fn exemption_that_is_changed_from_outside_is_put_in_force() {
    let host = Host::new();
    let mut running = host.run().await;
    host.sql(
        "INSERT INTO sip_filter_bypass (prefix) VALUES ('198.18.0.0/15'), ('2001:DB8::1');
         DELETE FROM sip_filter_emergency WHERE user_part = '999'",
    );
    let now = running.until(|now| now.policy.emergency.len() == 2 && now.policy.bypass.len() == 2).await;
    assert_eq!(EntryList::Bypass.entries_in(&now.policy), ["198.18.0.0/15", "2001:db8::1/128"]);
    assert_eq!(EntryList::Emergency.entries_in(&now.policy), ["112", "911"]);
    assert_eq!(running.record.last().as_ref(), Some(&now.policy), "in force, not only read");
    assert_eq!(now.since, None, "a change of exemptions is not a switch");

    host.sql("DELETE FROM sip_filter_bypass");
    running.until(|now| now.policy.bypass.is_empty()).await;
}

#[tokio::test]
async fn change_of_exemptions_is_written_and_in_force_by_the_time_of_its_reply() {
    let host = Host::new();
    let running = host.run().await;
    for (edit, there) in [(Edit::Add, vec!["198.18.0.0/15".to_owned()]), (Edit::Remove, vec![])] {
        let (changed, now) = running.change(edit, "198.18.0.0/15").await.unwrap();
        assert_eq!((changed.changed.len(), changed.left), (1, there.len()));
        assert_eq!(EntryList::Bypass.entries_in(&now.policy), there);
        assert_eq!(running.record.last().as_ref(), Some(&now.policy));
        assert_eq!(now.since, None, "a change of exemptions is not a switch");
    }
    let events = host.sql("SELECT action, actor, why FROM sip_filter_event ORDER BY id");
    assert_eq!(events, "bypass.add|alice|test callers\nbypass.remove|alice|test callers");
}

#[tokio::test]
async fn removal_of_an_impossible_prefix_is_rejected_without_an_alarm() {
    let host = Host::new();
    let running = host.run().await;
    let error = running.change(Edit::Remove, "198.18.1.7/15").await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)) && error.to_string().contains("198.18.0.0/15"), "{error}");
    let list = running.ask(|reply| Command::List(ListKind::Emergency, reply)).await.unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(alarms(&running.snapshot.borrow()), []);
}

#[tokio::test]
async fn listing_a_table_that_cannot_be_read_raises_the_alarm() {
    let host = Host::new();
    let running = host.run().await;
    host.sql("DROP TABLE sip_filter_bypass");
    let listed = running.ask(|reply| Command::List(ListKind::Bypass, reply)).await;
    assert!(matches!(listed, Err(Error::NotRead(_))));
    assert!(
        database_alarm(&running.snapshot.borrow()).is_some(),
        "a status that is asked for after the reply has the alarm"
    );
    assert!(matches!(running.change(Edit::Add, "10.0.0.0/8").await, Err(Error::NotWritten(_))));
}

#[tokio::test]
async fn unusable_exemption_is_an_alarm_and_the_others_are_in_force() {
    let host = Host::new();
    let mut running = host.run().await;
    host.sql("INSERT INTO sip_filter_bypass (prefix) VALUES ('198.18.1.7/15'), ('10.0.0.0/8')");
    let now = running.until(|now| !now.policy.bypass.is_empty()).await;
    assert_eq!(EntryList::Bypass.entries_in(&now.policy), ["10.0.0.0/8"]);
    let found = alarms(&now);
    assert!(
        matches!(&found[..], [Alarm::BadEntries { entries: 1, first, .. }] if first == "198.18.1.7/15"),
        "{found:?}"
    );

    host.sql("UPDATE sip_filter_bypass SET prefix = '198.18.0.0/15' WHERE prefix = '198.18.1.7/15'");
    let fixed = running.until(|now| alarms(now).is_empty()).await;
    assert_eq!(fixed.policy.bypass.len(), 2);
}

#[tokio::test]
async fn scope_that_is_changed_from_outside_is_put_in_force() {
    let host = Host::new();
    let mut running = host.run().await;
    assert_eq!(running.snapshot.borrow().policy.scope, None);
    host.sql("INSERT INTO sip_filter_scope_source (prefix) VALUES ('2001:DB8::1')");
    let now = running.until(|now| now.policy.scope.is_some()).await;
    assert_eq!(EntryList::ScopeSource.entries_in(&now.policy), ["2001:db8::1/128"]);
    host.sql("INSERT INTO sip_filter_scope_destination (address) VALUES ('198.18.0.2:5060')");
    let now = running.until(|now| !EntryList::ScopeDestination.entries_in(&now.policy).is_empty()).await;
    assert_eq!(EntryList::ScopeDestination.entries_in(&now.policy), ["198.18.0.2:5060"]);
    assert_eq!(running.record.last().as_ref(), Some(&now.policy), "in force, not only read");
    host.sql("DELETE FROM sip_filter_scope_source; DELETE FROM sip_filter_scope_destination");
    running.until(|now| now.policy.scope.is_none()).await;
}

#[tokio::test]
async fn scope_without_a_usable_entry_is_an_alarm_and_in_force_as_a_scope_of_nothing() {
    let host = Host::new();
    let mut running = host.run().await;
    running.switch(Action::On).await.unwrap();
    host.sql("INSERT INTO sip_filter_scope_source (prefix) VALUES ('198.18.1.7/15')");
    let empty = running.until(|now| now.policy.scope.is_some()).await;
    assert_eq!(empty.policy.scope, Some(Scope::default()));
    assert_eq!(running.record.last().as_ref(), Some(&empty.policy));
    assert!(matches!(&alarms(&empty)[..], [Alarm::BadEntries { .. }, Alarm::EmptyScope]), "{:?}", alarms(&empty));
    host.sql("UPDATE sip_filter_scope_source SET prefix = '198.18.0.0/15'");
    let fixed = running.until(|now| alarms(now).is_empty()).await;
    assert_eq!(EntryList::ScopeSource.entries_in(&fixed.policy), ["198.18.0.0/15"]);
}

#[tokio::test]
async fn start_with_the_database_down_takes_the_lists_of_the_state_file() {
    let host = Host::new();
    let mut running = host.run().await;
    host.sql(
        "INSERT INTO sip_filter_bypass (prefix) VALUES ('10.0.0.0/8'); DELETE FROM sip_filter_emergency;
         INSERT INTO sip_filter_scope_source (prefix) VALUES ('192.0.2.0/24')",
    );
    let read = |now: &Snapshot| now.policy.bypass.len() == 1 && now.policy.emergency.is_empty();
    running.until(|now| read(now) && now.policy.scope.is_some()).await;
    drop(running);
    host.sql("DROP TABLE sip_filter_emergency");
    let snapshot = Keeper::prepare(&host.settings(), &["eth0".into()]).await.unwrap().snapshot();
    assert_eq!(snapshot.source, Source::StateFile);
    assert_eq!(EntryList::Bypass.entries_in(&snapshot.policy), ["10.0.0.0/8"]);
    assert!(snapshot.policy.emergency.is_empty(), "not the default, which nobody has chosen");
    assert_eq!(EntryList::ScopeSource.entries_in(&snapshot.policy), ["192.0.2.0/24"]);
    assert!(database_alarm(&snapshot).unwrap().contains("sip_filter_emergency"));
}

#[tokio::test]
async fn start_with_the_database_down_takes_the_last_state() {
    let host = Host::new();
    let running = host.run().await;
    running.switch(Action::On).await.unwrap();
    let tag = *Keeper::prepare(&host.settings(), &["eth0".into()]).await.unwrap().tag();
    drop(running);
    std::fs::remove_file(host.database()).unwrap();

    let keeper = Keeper::prepare(&host.settings(), &["eth0".into()]).await.unwrap();
    let snapshot = keeper.snapshot();
    assert!(snapshot.policy.maintenance);
    assert_eq!(snapshot.source, Source::StateFile);
    assert_eq!(snapshot.since.as_ref().unwrap().who.as_deref(), Some("alice"));
    assert!(database_alarm(&snapshot).is_some_and(|error| error.contains("does not exist")));
    assert!(*keeper.tag() == tag, "a retransmission gets the same To tag");
    assert!(!host.database().exists(), "an empty database would end the maintenance");
}

#[rstest]
#[case::no_state_file(None)]
#[case::damaged(Some("{"))]
#[tokio::test]
async fn start_without_database_and_state_file_is_off(#[case] state_file: Option<&str>) {
    let host = Host::new();
    std::fs::write(host.database(), "not a database, not a database, not a database").unwrap();
    if let Some(text) = state_file {
        std::fs::write(host.settings().state_file, text).unwrap();
    }
    let snapshot = Keeper::prepare(&host.settings(), &["eth0".into()]).await.unwrap().snapshot();
    assert_eq!((snapshot.policy.maintenance, snapshot.source), (false, Source::Default));
    assert_eq!(alarms(&snapshot).len(), 1 + usize::from(state_file.is_some()), "{:?}", alarms(&snapshot));
}

#[tokio::test]
async fn restart_knows_who_switched_maintenance_on() {
    let host = Host::new();
    let running = host.run().await;
    let before = running.switch(Action::On).await.unwrap().since;
    drop(running);
    assert_eq!(host.run().await.snapshot.borrow().since, before);
}

#[tokio::test]
async fn start_with_a_database_of_a_later_version_fails() {
    let host = Host::new();
    Keeper::prepare(&host.settings(), &["eth0".into()]).await.unwrap();
    host.sql("UPDATE sip_filter_migration SET version = 99 WHERE version = 2");
    let Err(error) = Keeper::prepare(&host.settings(), &["eth0".into()]).await else { panic!("started") };
    assert!(error.to_string().contains("migration 99"), "{error}");
}

#[tokio::test]
async fn state_file_that_cannot_be_written_is_an_alarm() {
    let host = Host::new();
    // A directory in its place, since root may write to any file.
    std::fs::create_dir(host.settings().state_file).unwrap();
    let snapshot = Keeper::prepare(&host.settings(), &["eth0".into()]).await.unwrap().snapshot();
    assert!(matches!(&alarms(&snapshot)[..], [Alarm::StateFile { .. }]));
}

#[tokio::test]
async fn different_tag_in_the_database_is_an_alarm() {
    let host = Host::new();
    let mut running = host.run().await;
    std::fs::remove_file(Path::new(&host.database())).unwrap();
    Keeper::prepare(
        &Settings { state_file: host.directory.path().join("other.json"), ..host.settings() },
        &["eth0".into()],
    )
    .await
    .unwrap();
    running.until(|now| alarms(now) == [Alarm::TagChanged]).await;
}

#[tokio::test]
async fn maintenance_ends_as_planned_while_the_database_is_gone() {
    let host = Host::new();
    let mut running = host.run().await;
    running.switch(Action::On).await.unwrap();
    let end = jiff::Timestamp::now().as_second() + 2;
    host.sql(&format!("INSERT INTO htable_config (key_name, key_value) VALUES ('maint_until', '{end}')"));
    let planned = running.until(|now| now.policy.until.is_some()).await;
    assert!(planned.policy.maintenance, "it does not end early");
    std::fs::remove_file(host.database()).unwrap();

    let over = running.until(|now| !now.policy.maintenance).await;
    let since = over.since.unwrap();
    assert_eq!((since.at.as_second(), since.who), (end, None), "to the second");
    assert!(!running.record.last().unwrap().maintenance, "and this is in force");
}

#[tokio::test]
async fn planned_end_in_the_past_does_not_undo_a_new_switch() {
    let host = Host::new();
    let mut running = host.run().await;
    running.switch(Action::On).await.unwrap();
    host.sql("INSERT INTO htable_config (key_name, key_value) VALUES ('maint_until', '1000')");
    running.until(|now| !now.policy.maintenance).await;
    let again = running.switch(Action::On).await.unwrap();
    assert!(again.policy.maintenance, "{:?}", again.policy);
    assert_eq!(host.sql("SELECT count(*) FROM htable_config WHERE key_name = 'maint_until'"), "0");
}

#[tokio::test]
async fn switch_that_a_stopped_data_plane_does_not_take_is_an_error() {
    let host = Host::new();
    let running = host.run().await;
    running.record.stopped.store(true, Ordering::Relaxed);
    let error = running.switch(Action::On).await.unwrap_err();
    assert!(matches!(error, Error::NotInForce(_)) && error.to_string().contains("detached"), "{error}");
    assert!(!running.snapshot.borrow().policy.maintenance, "the snapshot says what is in force");
    assert_eq!(host.sql("SELECT key_value FROM htable_config WHERE key_name = 'maint'"), "1");
    // The daemon is ending anyway, so this is not an error of the keeper.
    timeout(TIMEOUT, running.keeper).await.expect("the keeper ends").unwrap().unwrap();
    assert_eq!(host.sql("SELECT running FROM sip_filter_node"), "0", "the other hosts know that this one stops");
}

#[tokio::test]
async fn keeper_that_is_stopped_reports_this_to_the_other_hosts() {
    let host = Host::new();
    let running = host.run().await;
    running.stop.cancel();
    timeout(TIMEOUT, running.keeper).await.expect("the keeper ends").unwrap().unwrap();
    assert_eq!(host.sql("SELECT running FROM sip_filter_node"), "0");
}

#[tokio::test]
async fn row_is_followed_while_a_client_asks_for_nodes_all_the_time() {
    let host = Host::new();
    let mut running = host.run().await;
    let commands = running.commands.clone();
    let asking = tokio::spawn(async move {
        loop {
            let (sender, receiver) = oneshot::channel();
            commands.send(Command::Nodes(sender)).await.unwrap();
            receiver.await.unwrap().unwrap();
        }
    });
    host.sql(ON);
    running.until(|now| now.policy.maintenance).await;
    asking.abort();
}
