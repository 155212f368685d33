//! The open database, with a method for each operation.

use std::time::Duration;

use super::connection::Connection;
use super::error::Error;
use super::if_missing::IfMissing;
use super::reading::{self, Reading};
use super::timeout::with_timeout;
use super::url::{DatabaseUrl, DriverOptions};
use super::watch::Watch;
use super::{cluster_table, entry_table, event_table, node_table, outside, policy_table, server, sqlite};
use crate::domain::{
    Change, Changed, Entry, Event, ListKind, Node, NodeName, NodeReport, Origin, Switch, TableName, TagSecret,
};

/// An open database with our schema, as the host `node` uses it.
pub struct Store {
    connection: Connection,
    watch: Watch,
    table: TableName,
    node: NodeName,
    /// Time limit for one operation.
    timeout: Duration,
}

impl Store {
    /// Opens the database and brings our tables up to date.
    ///
    /// Also returns the steps that this took, one line each. There are none if the schema was up to date.
    pub async fn open(
        url: &DatabaseUrl,
        table: &TableName,
        node: &NodeName,
        if_missing: IfMissing,
    ) -> Result<(Self, Vec<String>), Error> {
        let (connection, watch, steps) = match url.options() {
            DriverOptions::Sqlite(options) => {
                let (connection, watch, steps) = sqlite::open(options, table, if_missing).await?;
                (connection, Watch::File(watch), steps)
            }
            DriverOptions::MySql(options) => {
                let (connection, watch, steps) = server::open_mysql(options, table, if_missing).await?;
                (connection, Watch::Server(watch), steps)
            }
            DriverOptions::Postgres(options) => {
                let (connection, watch, steps) = server::open_postgres(options, table, if_missing).await?;
                (connection, Watch::Server(watch), steps)
            }
        };
        let timeout = connection.timeout();
        Ok((Self { connection, watch, table: table.clone(), node: node.clone(), timeout }, steps))
    }

    /// Reads the policy rows, the lists and the last switch, as of one moment.
    pub async fn read(&mut self) -> Result<Reading, Error> {
        let Self { connection, watch, table, node, timeout } = self;
        let read = async {
            let version = watch.version(connection).await?;
            let work = async |connection: &mut Connection| reading::read(connection, table, node).await;
            let reading = connection.read(work).await?;
            watch.record_read(&version);
            Ok(reading)
        };
        with_timeout(*timeout, "read it", read).await
    }

    /// Returns whether the database is on a server, where writers wait for each other instead of failing.
    pub const fn is_server(&self) -> bool {
        self.watch.is_server()
    }

    /// Waits until the database may have changed since the last [`read`](Self::read). This method is cancel safe.
    pub async fn changed(&mut self) -> Result<(), Error> {
        self.watch.changed(&mut self.connection).await
    }

    /// Writes the rows of a switch and its event in one transaction. Returns the number of the event.
    pub async fn switch(&mut self, switch: &Switch) -> Result<i64, Error> {
        self.ensure_writable().await?;
        let table = &self.table;
        let work = async |connection: &mut Connection| policy_table::switch(connection, table, switch).await;
        self.connection.write("write the policy rows", work).await
    }

    /// Changes the entries of a list and writes the event in one transaction: either all entries or none.
    pub async fn change(&mut self, change: &Change) -> Result<Changed, Error> {
        self.ensure_writable().await?;
        let work = async |connection: &mut Connection| entry_table::change(connection, change).await;
        self.connection.write("write the entries", work).await
    }

    /// Ends maintenance in the table if its planned end has passed. Returns whether it did: another host may have done
    /// so before.
    pub async fn end_as_planned(&mut self, origin: &Origin) -> Result<bool, Error> {
        self.ensure_writable().await?;
        let table = &self.table;
        let work = async |connection: &mut Connection| policy_table::end_as_planned(connection, table, origin).await;
        self.connection.write("end maintenance as planned", work).await
    }

    /// Writes an event for each flag that was changed from outside, unless another host has.
    pub async fn note_changes_from_outside(&mut self, origin: &Origin) -> Result<(), Error> {
        self.ensure_writable().await?;
        let (table, node) = (&self.table, &self.node);
        let work = async |connection: &mut Connection| outside::record_changes(connection, table, origin, node).await;
        self.connection.write("write the event", work).await
    }

    /// Returns the entries of the lists of `kind`, as of one moment.
    pub async fn list(&mut self, kind: ListKind) -> Result<Vec<Entry>, Error> {
        let work = async |connection: &mut Connection| entry_table::list(connection, kind.lists()).await;
        with_timeout(self.timeout, "read the entries", self.connection.read(work)).await
    }

    /// Returns the last `limit` events, the newest first.
    pub async fn history(&mut self, limit: u32) -> Result<Vec<Event>, Error> {
        with_timeout(self.timeout, "read the events", event_table::list(&mut self.connection, limit)).await
    }

    /// Returns the hosts that share the database, ordered by name.
    pub async fn nodes(&mut self) -> Result<Vec<Node>, Error> {
        with_timeout(self.timeout, "read the hosts", node_table::list(&mut self.connection)).await
    }

    /// Reports the state of this host to the other hosts. `running` is false when its daemon stops.
    pub async fn report(&mut self, report: &NodeReport, running: bool) -> Result<(), Error> {
        let work = node_table::report(&mut self.connection, &self.node, report, running);
        with_timeout(self.timeout, "report to the other hosts", work).await
    }

    /// Returns the cluster's To tag. Stores `proposed` as such if there is none yet.
    pub async fn tag(&mut self, proposed: &TagSecret) -> Result<TagSecret, Error> {
        with_timeout(self.timeout, "read the cluster's To tag", cluster_table::tag(&mut self.connection, proposed))
            .await
    }

    /// Closes the database cleanly.
    pub async fn close(self) {
        drop(self.watch);
        self.connection.close().await;
    }

    async fn ensure_writable(&mut self) -> Result<(), Error> {
        self.watch.ensure_writable(&mut self.connection).await
    }
}
