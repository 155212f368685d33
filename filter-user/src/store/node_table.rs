//! `sip_filter_node`: the hosts that share the database, and what each has applied.

use std::time::Duration;

use jiff::Timestamp;

use super::connection::{Connection, Record, Value};
use super::{Error, sql};
use crate::domain::{Node, NodeName, NodeReport};

/// How long a host is listed after its last heartbeat.
const LISTED: Duration = Duration::from_secs(30 * 24 * 3600);

const READING: &str = "read the table sip_filter_node";
const WRITING: &str = "write the table sip_filter_node";

/// Says what this host has in force; `running` is false at the end of its daemon.
pub(super) async fn report(
    connection: &mut Connection,
    node: &NodeName,
    report: &NodeReport,
    running: bool,
) -> Result<(), Error> {
    let now = connection.dialect().now();
    let assignments = format!(
        "interfaces = ?, version = ?, maintenance = ?, state = ?, event_id = ?, applied_ms = ?, running = ?, heard_ms = {now}"
    );
    let values: [Value<'_>; 8] = [
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
    if connection.execute(&update, &values).await.map_err(sql(WRITING))? > 0 {
        return Ok(());
    }
    let insert = format!(
        "INSERT INTO sip_filter_node
         (interfaces, version, maintenance, state, event_id, applied_ms, running, node, heard_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, {now})"
    );
    connection.execute(&insert, &values).await.map_err(sql(WRITING))?;
    // A host that was taken out of service is forgotten at the next one's first start.
    let old = format!("DELETE FROM sip_filter_node WHERE heard_ms < {now} - {}", LISTED.as_millis());
    connection.execute(&old, &[]).await.map_err(sql(WRITING))?;
    Ok(())
}

/// The hosts, by name.
pub(super) async fn list(connection: &mut Connection) -> Result<Vec<Node>, Error> {
    let dialect = connection.dialect();
    let octets = ["node", "interfaces", "version", "state"].map(|name| dialect.octets(name)).join(", ");
    let numbers = ["maintenance", "event_id", "applied_ms", "running"].map(|name| dialect.number(name)).join(", ");
    let age = dialect.number(&format!("{} - heard_ms", dialect.now()));
    let select = format!("SELECT {octets}, {numbers}, {age} FROM sip_filter_node ORDER BY node");
    let records = connection.rows(&select, &[]).await.map_err(sql(READING))?;
    records.iter().map(node).collect::<sqlx::Result<_>>().map_err(sql(READING))
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
