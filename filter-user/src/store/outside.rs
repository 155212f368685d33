//! Changes from outside: flags that other software than sip-filter (SQL, Kamailio) has changed in the policy table.

use super::connection::Connection;
use super::error::Error;
use super::rows::{self, Row, Stated};
use super::{event_table, policy_table};
use crate::domain::{Action, Channel, NodeName, Origin, TableName};

/// Records an event for each flag that differs from the last event about it: the flag of all hosts, and that of `node`.
///
/// The first host to do so records the event; the others find it. Called within a transaction that writes.
pub(super) async fn record_changes(
    connection: &mut Connection,
    table: &TableName,
    origin: &Origin,
    node: &NodeName,
) -> Result<(), Error> {
    let rows = policy_table::read(connection, table).await?;
    record_change(connection, &rows, rows::MAINT, None, origin).await?;
    record_change(connection, &rows, &rows::node_key(node), Some(node), origin).await
}

async fn record_change(
    connection: &mut Connection,
    rows: &[Row],
    key: &str,
    node: Option<&NodeName>,
    origin: &Origin,
) -> Result<(), Error> {
    let action = match (rows::flag(rows, key), node) {
        (Stated::Value(true), _) => Action::On,
        (Stated::Value(false), _) | (_, None) => Action::Off,
        // A host without a flag of its own follows the flag of all hosts.
        (_, Some(_)) => return Ok(()),
    };
    let target = node.map(NodeName::as_str);
    let last = event_table::last_action(connection, target).await?;
    // Before the first event the flag of all hosts counts as off.
    let is_first_off = last.is_none() && node.is_none() && action == Action::Off;
    if is_first_off || last.as_deref() == Some(action.name()) {
        return Ok(());
    }
    let value = rows.iter().find(|row| row.key == key).and_then(|row| row.value.clone());
    let origin = Origin { channel: Channel::Outside, ..origin.clone() };
    event_table::insert(connection, action.name(), target, &origin, &serde_json::json!({key: value})).await?;
    Ok(())
}
