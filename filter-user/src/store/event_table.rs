//! The table `sip_filter_event`: who switched or changed what, when and why.

use jiff::Timestamp;
use serde_json::Value as Json;

use super::connection::{Connection, Record};
use super::error::{Error, while_doing};
use crate::domain::{Event, NodeName, Origin};

const READING: &str = "read the events";

/// Inserts an event; `written` is a JSON object of the values that were written. Returns the number of the event.
///
/// Called within a transaction that writes, so that the numbers of events rise in the order of their commits.
pub(super) async fn insert(
    connection: &mut Connection,
    action: &str,
    target: Option<&str>,
    origin: &Origin,
    written: &Json,
) -> Result<i64, Error> {
    let doing = "write the event";
    let (at, written) = (Timestamp::now().as_millisecond(), written.to_string());
    connection
        .execute(
            "INSERT INTO sip_filter_event (at_ms, node, actor, via, action, target, why, written)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            &[
                at.into(),
                (&origin.node).into(),
                (&origin.actor).into(),
                origin.channel.name().into(),
                action.into(),
                target.into(),
                (&origin.why).into(),
                (&written).into(),
            ],
        )
        .await
        .map_err(while_doing(doing))?;
    last_id(connection).await
}

/// Returns the number of the last event, 0 without any.
pub(super) async fn last_id(connection: &mut Connection) -> Result<i64, Error> {
    let number = connection.dialect().number("MAX(id)");
    connection.number(&format!("SELECT {number} FROM sip_filter_event"), &[]).await.map_err(while_doing(READING))
}

fn columns(connection: &Connection) -> String {
    let dialect = connection.dialect();
    let texts = ["node", "actor", "via", "action", "target", "why", "written"].map(|name| dialect.bytes(name));
    format!("{}, {}, {}", dialect.number("id"), dialect.number("at_ms"), texts.join(", "))
}

fn event(record: &Record) -> sqlx::Result<Event> {
    let written = serde_json::from_str(&record.text_or_empty(8)?).unwrap_or(Json::Null);
    Ok(Event {
        id: record.number_or_zero(0)?,
        at: Timestamp::from_millisecond(record.number_or_zero(1)?).unwrap_or(Timestamp::UNIX_EPOCH),
        node: record.text_or_empty(2)?,
        actor: record.text_or_empty(3)?,
        via: record.text_or_empty(4)?,
        action: record.text_or_empty(5)?,
        target: record.text(6)?,
        why: record.text(7)?,
        written,
    })
}

/// Returns the last switch that concerns `node`: of all hosts, or of this host alone.
pub(super) async fn last_switch(connection: &mut Connection, node: &NodeName) -> Result<Option<Event>, Error> {
    let (columns, is_node) = (columns(connection), connection.dialect().equals("target"));
    let select = format!(
        "SELECT {columns} FROM sip_filter_event
         WHERE action IN ('on', 'off') AND (target IS NULL OR {is_node}) ORDER BY id DESC LIMIT 1"
    );
    let record = connection.row(&select, &[node.as_str().into()]).await.map_err(while_doing(READING))?;
    record.as_ref().map(event).transpose().map_err(while_doing(READING))
}

/// Returns the last `limit` events, the newest first.
pub(super) async fn list(connection: &mut Connection, limit: u32) -> Result<Vec<Event>, Error> {
    let select = format!("SELECT {} FROM sip_filter_event ORDER BY id DESC LIMIT {limit}", columns(connection));
    let records = connection.rows(&select, &[]).await.map_err(while_doing(READING))?;
    records.iter().map(event).collect::<sqlx::Result<_>>().map_err(while_doing(READING))
}

/// Returns the action of the last switch of `target`: of one host alone, or of all hosts for `None`.
pub(super) async fn last_action(connection: &mut Connection, target: Option<&str>) -> Result<Option<String>, Error> {
    let dialect = connection.dialect();
    let (condition, values) = match target {
        None => ("target IS NULL".to_owned(), vec![]),
        Some(target) => (dialect.equals("target"), vec![target.into()]),
    };
    let select = format!(
        "SELECT {} FROM sip_filter_event WHERE action IN ('on', 'off') AND {condition} ORDER BY id DESC LIMIT 1",
        dialect.bytes("action")
    );
    let record = connection.row(&select, &values).await.map_err(while_doing(READING))?;
    record.map(|record| record.text_or_empty(0)).transpose().map_err(while_doing(READING))
}
