//! The table `sip_filter_node`: the hosts that share the database, and the policy in force on each.

use std::time::Duration;

use jiff::Timestamp;

use super::connection::{Connection, Record, SqlValue};
use super::error::{Error, while_doing};
use crate::domain::{Node, NodeName, NodeReport};

/// Age of the last heartbeat after which a host is no longer listed.
const MAX_AGE: Duration = Duration::from_hours(30 * 24);

const READING: &str = "read the table sip_filter_node";
const WRITING: &str = "write the table sip_filter_node";

/// Writes the row of the host `node`. `running` is false when its daemon stops.
pub(super) async fn report(
    connection: &mut Connection,
    node: &NodeName,
    report: &NodeReport,
    running: bool,
) -> Result<(), Error> {
    let now = connection.dialect().now_ms();
    let assignments = format!(
        "interfaces = ?, version = ?, maintenance = ?, state = ?, event_id = ?, applied_ms = ?, running = ?,
         heard_ms = {now}"
    );
    let values: [SqlValue<'_>; 8] = [
        (&report.interfaces).into(),
        env!("CARGO_PKG_VERSION").into(),
        i64::from(report.maintenance).into(),
        (&report.state).into(),
        report.event.into(),
        report.applied.as_millisecond().into(),
        i64::from(running).into(),
        node.as_str().into(),
    ];
    let update = format!("UPDATE sip_filter_node SET {assignments} WHERE node = ?");
    if connection.execute(&update, &values).await.map_err(while_doing(WRITING))? > 0 {
        return Ok(());
    }
    let insert = format!(
        "INSERT INTO sip_filter_node
         (interfaces, version, maintenance, state, event_id, applied_ms, running, node, heard_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, {now})"
    );
    connection.execute(&insert, &values).await.map_err(while_doing(WRITING))?;
    // Hosts that were taken out of service are deleted when a new host starts for the first time.
    let old = format!("DELETE FROM sip_filter_node WHERE heard_ms < {now} - {}", MAX_AGE.as_millis());
    connection.execute(&old, &[]).await.map_err(while_doing(WRITING))?;
    Ok(())
}

/// Returns the hosts, ordered by name.
pub(super) async fn list(connection: &mut Connection) -> Result<Vec<Node>, Error> {
    let dialect = connection.dialect();
    let texts = ["node", "interfaces", "version", "state"].map(|name| dialect.bytes(name)).join(", ");
    let numbers = ["maintenance", "event_id", "applied_ms", "running"].map(|name| dialect.number(name)).join(", ");
    let age = dialect.number(&format!("{} - heard_ms", dialect.now_ms()));
    let select = format!("SELECT {texts}, {numbers}, {age} FROM sip_filter_node ORDER BY node");
    let records = connection.rows(&select, &[]).await.map_err(while_doing(READING))?;
    records.iter().map(node).collect::<sqlx::Result<_>>().map_err(while_doing(READING))
}

fn node(record: &Record) -> sqlx::Result<Node> {
    let (running, heard_ms) = (record.number_or_zero(7)? != 0, record.number_or_zero(8)?.max(0));
    Ok(Node {
        node: record.text_or_empty(0)?,
        interfaces: record.text_or_empty(1)?,
        version: record.text_or_empty(2)?,
        state: record.text_or_empty(3)?,
        maintenance: record.number_or_zero(4)? != 0,
        event: record.number_or_zero(5)?,
        applied: Timestamp::from_millisecond(record.number_or_zero(6)?).unwrap_or(Timestamp::UNIX_EPOCH),
        heard_ms,
        alive: running && u128::try_from(heard_ms).is_ok_and(|age| age < Node::ALIVE.as_millis()),
    })
}
