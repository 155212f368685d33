//! The keeper's connection to the database: opened, read, written, watched, and opened again when it is lost.

use std::time::Duration;

use filter_reply::TagSecret;
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::command::StoreOp;
use crate::backoff::Backoff;
use crate::config::Settings;
use crate::domain::{Alarm, Alarms, NodeName, Subject, TableName};
use crate::store::{self, DatabaseUrl, IfMissing, Reading, Recovery, Store};

/// Time for which a SQLite database has to be quiet before the daemon writes into it on its own. A script that writes
/// one statement after the other without a busy timeout would otherwise fail with "database is locked".
const QUIET: Duration = Duration::from_secs(1);

/// Age of the last reading at which a file is read again although its watch has reported no change. See
/// [`Database::is_watch_late`].
const WATCH_LATE: Duration = Duration::from_millis(100);

/// The database, open or down.
pub(super) struct Database {
    url: DatabaseUrl,
    table: TableName,
    node: NodeName,
    /// To tag in use. The cluster's is compared with it each time that the database is opened.
    tag: TagSecret,
    /// `None` while the database is down.
    store: Option<Store>,
    /// Permission to create an empty database, until one has been opened.
    if_missing: IfMissing,
    backoff: Backoff,
    /// Time of the next attempt while the database is down.
    retry_at: Instant,
    /// Time of the last reading, successful or not.
    last_attempt: Instant,
    /// Time of the last reading that was adopted.
    last_read: Option<Timestamp>,
    last_change: Instant,
}

impl Database {
    /// Creates the connection, which is not open yet. `tag` is the cluster's To tag if the database has none yet.
    pub(super) fn new(settings: &Settings, tag: TagSecret, if_missing: IfMissing) -> Self {
        Self {
            url: settings.database.clone(),
            table: settings.table.clone(),
            node: settings.node.clone(),
            tag,
            store: None,
            if_missing,
            backoff: Backoff::default(),
            retry_at: Instant::now(),
            last_attempt: Instant::now(),
            last_read: None,
            last_change: Instant::now(),
        }
    }

    /// Returns the URL without its password.
    pub(super) fn display_url(&self) -> String {
        self.url.display().to_string()
    }

    /// Returns whether the database could be read when it was last used.
    pub(super) fn is_open(&self) -> bool {
        self.store.is_some()
    }

    /// Returns the open database; `None` while it is down.
    pub(super) fn store(&mut self) -> Option<&mut Store> {
        self.store.as_mut()
    }

    /// Returns the time of the last reading that was adopted; `None` before the first.
    pub(super) fn last_read(&self) -> Option<Timestamp> {
        self.last_read
    }

    /// Returns whether the daemon can write without locking out another writer. On a server it always can.
    pub(super) fn is_quiet(&self) -> bool {
        self.store.as_ref().is_some_and(Store::is_server) || self.last_change.elapsed() >= QUIET
    }

    /// Returns the To tag in use.
    pub(super) fn tag(&self) -> &TagSecret {
        &self.tag
    }

    /// Returns whether commands may have kept the watch of a file from polling.
    ///
    /// A poll takes 20 ms, and begins again after each command. So clients that send one command after the other,
    /// without a pause, would hide all changes. The watch of a server has a task of its own.
    pub(super) fn is_watch_late(&self) -> bool {
        let is_file = self.store.as_ref().is_some_and(|store| !store.is_server());
        is_file && self.last_attempt.elapsed() >= WATCH_LATE
    }

    /// Opens the database for the first time, and adopts the cluster's To tag. The tag does not change later, because
    /// the responders use it.
    pub(super) async fn open_first(&mut self) -> Result<(), store::Error> {
        let mut store = self.connect().await?;
        self.tag = store.tag(&self.tag).await?;
        self.keep(store);
        Ok(())
    }

    /// Reads the open database. If that fails, it is opened again: the file may have been replaced.
    pub(super) async fn read(&mut self, alarms: &mut Alarms) -> Result<Reading, store::Error> {
        self.last_attempt = Instant::now();
        if let Some(store) = &mut self.store
            && let Ok(reading) = store.read().await
        {
            return Ok(reading);
        }
        self.open(alarms).await?.read().await
    }

    /// Runs an operation that writes. If the connection was lost before it, the database is opened again.
    pub(super) async fn write<Op: StoreOp>(
        &mut self,
        operation: &Op,
        alarms: &mut Alarms,
    ) -> Result<Op::Output, store::Error> {
        if let Some(store) = &mut self.store {
            match operation.run(store).await {
                // The file was replaced, or the connection is gone. Nothing is written yet.
                Err(error) if error.recovery() == Recovery::Retry => {}
                Err(error) => {
                    // If the database has rolled back by itself (a full disk), sqlx takes the transaction to be still
                    // open, and would not begin another one on this connection.
                    self.close().await;
                    return Err(error);
                }
                Ok(output) => return Ok(output),
            }
        }
        let outcome = operation.run(self.open(alarms).await?).await;
        if outcome.is_err() {
            self.close().await;
        }
        outcome
    }

    /// Runs an operation that reads. If the connection was lost before it, the database is opened again.
    pub(super) async fn query<Op: StoreOp>(
        &mut self,
        operation: &Op,
        alarms: &mut Alarms,
    ) -> Result<Op::Output, store::Error> {
        if let Some(store) = &mut self.store {
            match operation.run(store).await {
                Err(error) if error.recovery() != Recovery::KeepConnection => {}
                outcome => return outcome,
            }
        }
        operation.run(self.open(alarms).await?).await
    }

    /// Waits until there may be something to read: after a change, or while the database is down, at the next attempt.
    ///
    /// An error means that the connection is lost. This method is cancel safe.
    pub(super) async fn changed(&mut self) -> Result<(), store::Error> {
        let changed = if let Some(store) = &mut self.store {
            store.changed().await
        } else {
            sleep_until(self.retry_at).await;
            Ok(())
        };
        self.note_change();
        changed
    }

    /// Records that another program has written to the database, so that the daemon does not lock it out.
    pub(super) fn note_change(&mut self) {
        self.last_change = Instant::now();
    }

    /// Records that a reading was adopted.
    pub(super) fn read_adopted(&mut self, alarms: &mut Alarms) {
        self.last_read = Some(Timestamp::now());
        self.backoff.reset();
        alarms.set(Subject::Database, []);
    }

    /// Records that the database is down, and closes it.
    pub(super) async fn lost(&mut self, error: &store::Error, alarms: &mut Alarms) {
        self.close().await;
        alarms.set(Subject::Database, [Alarm::Database { database: self.display_url(), error: error.to_string() }]);
    }

    /// Schedules the next attempt if the database is down, and the time of the last one has passed.
    pub(super) fn schedule_retry(&mut self) {
        if self.store.is_none() && self.retry_at <= Instant::now() {
            self.retry_at = Instant::now() + self.backoff.next_delay();
        }
    }

    /// Closes the database.
    pub(super) async fn close(&mut self) {
        if let Some(store) = self.store.take() {
            store.close().await;
        }
    }

    /// Opens the database, after closing it, and compares its To tag with ours.
    async fn open(&mut self, alarms: &mut Alarms) -> Result<&mut Store, store::Error> {
        self.close().await;
        let mut store = self.connect().await?;
        let changed = store.tag(&self.tag).await? != self.tag;
        alarms.set(Subject::Tag, changed.then_some(Alarm::TagChanged));
        Ok(self.keep(store))
    }

    async fn connect(&self) -> Result<Store, store::Error> {
        let (store, steps) = Store::open(&self.url, &self.table, &self.node, self.if_missing).await?;
        for step in steps {
            info!("database: {step}");
        }
        Ok(store)
    }

    fn keep(&mut self, store: Store) -> &mut Store {
        self.if_missing = IfMissing::Fail;
        self.store.insert(store)
    }
}
