//! A reading: the contents of the database at one moment.

use super::connection::Connection;
use super::entries::{self, Lists};
use super::error::Error;
use super::interpretation::{self, Interpretation};
use super::rows::Row;
use super::{entry_table, event_table, policy_table};
use crate::domain::{EntryList, Event, NodeName, Policy, TableName};

/// A consistent reading of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Rows of the policy table that may concern this host. Some do not.
    pub rows: Vec<Row>,
    /// Entries of the lists.
    pub lists: Lists,
    /// Last switch of this host, whether of all hosts or of this host alone.
    pub event: Option<Event>,
    /// Number of the last event of any kind; 0 without any.
    pub last_event: i64,
}

impl Reading {
    /// Returns the meaning of the reading for the host `node`.
    ///
    /// If a row or a table cannot be used, the values in `last`, the policy in force, are kept, and an alarm is raised.
    pub fn interpret(&self, node: &NodeName, last: &Policy) -> Interpretation {
        let mut interpretation = interpretation::interpret_rows(&self.rows, node, last);
        let Interpretation { policy, alarms, .. } = &mut interpretation;
        entries::interpret(&self.lists, policy, alarms);
        interpretation
    }
}

/// Reads the database as the host `node`. Called within a transaction, so that the reading is consistent.
pub(super) async fn read(connection: &mut Connection, table: &TableName, node: &NodeName) -> Result<Reading, Error> {
    Ok(Reading {
        rows: policy_table::read(connection, table).await?,
        event: event_table::last_switch(connection, node).await?,
        last_event: event_table::last_id(connection).await?,
        lists: Lists {
            bypass: entry_table::texts(connection, EntryList::Bypass).await?,
            emergency: entry_table::texts(connection, EntryList::Emergency).await?,
            scope_sources: entry_table::texts(connection, EntryList::ScopeSource).await?,
            scope_destinations: entry_table::texts(connection, EntryList::ScopeDestination).await?,
        },
    })
}
