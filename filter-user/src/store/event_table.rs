//! `sip_filter_event`: who switched or changed what, when and why.

use jiff::Timestamp;
use serde_json::Value as Json;

use super::connection::{Connection, Record};
use super::{Error, Row, policy_table, rows, sql};
use crate::domain::{Action, Channel, Event, NodeName, Origin, TableName};

const READING: &str = "read the events";

/// Remembers what was done: `written` is a JSON object of it. Returns the event's number. Within a transaction that
/// writes, so that the numbers of events rise in the order in which they are committed.
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
                super::connection::Value::OptionalText(target),
                (&origin.why).into(),
                (&written).into(),
            ],
        )
        .await
        .map_err(sql(doing))?;
    last(connection).await
}

/// The number of the last event; zero without any.
pub(super) async fn last(connection: &mut Connection) -> Result<i64, Error> {
    let number = connection.dialect().number("MAX(id)");
    connection.number(&format!("SELECT {number} FROM sip_filter_event"), &[]).await.map_err(sql(READING))
}

fn columns(connection: &Connection) -> String {
    let dialect = connection.dialect();
    let octets = ["node", "actor", "via", "action", "target", "why", "written"].map(|name| dialect.octets(name));
    format!("{}, {}, {}", dialect.number("id"), dialect.number("at_ms"), octets.join(", "))
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

/// The last event that has switched this host: all hosts, or only this one.
pub(super) async fn last_switch(connection: &mut Connection, node: &NodeName) -> Result<Option<Event>, Error> {
    let (columns, is) = (columns(connection), connection.dialect().is("target"));
    let select = format!(
        "SELECT {columns} FROM sip_filter_event
         WHERE action IN ('on', 'off') AND (target IS NULL OR {is}) ORDER BY id DESC LIMIT 1"
    );
    let record = connection.row(&select, &[node.as_str().into()]).await.map_err(sql(READING))?;
    record.as_ref().map(event).transpose().map_err(sql(READING))
}

/// The last `limit` events, the newest first.
pub(super) async fn list(connection: &mut Connection, limit: u32) -> Result<Vec<Event>, Error> {
    let select = format!("SELECT {} FROM sip_filter_event ORDER BY id DESC LIMIT {limit}", columns(connection));
    let records = connection.rows(&select, &[]).await.map_err(sql(READING))?;
    records.iter().map(event).collect::<sqlx::Result<_>>().map_err(sql(READING))
}

/// Writes an event for a flag that was changed in the table by other means (SQL, Kamailio): for each scope of which the
/// last event says something else than the row. Whichever host comes first does it. Within a transaction that writes.
pub(super) async fn note_changes_from_outside(
    connection: &mut Connection,
    table: &TableName,
    origin: &Origin,
    node: &NodeName,
) -> Result<(), Error> {
    let present = policy_table::read(connection, table).await?;
    let own = rows::key_of(node);
    note(connection, &present, rows::MAINT, None, origin).await?;
    note(connection, &present, &own, Some(node), origin).await
}

async fn note(
    connection: &mut Connection,
    present: &[Row],
    key: &str,
    node: Option<&NodeName>,
    origin: &Origin,
) -> Result<(), Error> {
    let flag = rows::flag(present, key);
    let known = last_action(connection, node.map(NodeName::as_str)).await?;
    let now = match (flag, node) {
        (Some(true), _) => Action::On,
        (Some(false), _) | (None, None) => Action::Off,
        // Without a row of its own a host does what all do.
        (None, Some(_)) => return Ok(()),
    };
    let known_off = known.is_none() && node.is_none() && now == Action::Off;
    if known_off || known.as_deref() == Some(now.name()) {
        return Ok(());
    }
    let value = present.iter().find(|row| row.key == key).and_then(|row| row.value.clone());
    let origin = Origin { channel: Channel::Outside, ..origin.clone() };
    let written = serde_json::json!({key: value});
    insert(connection, now.name(), node.map(NodeName::as_str), &origin, &written).await?;
    Ok(())
}

async fn last_action(connection: &mut Connection, target: Option<&str>) -> Result<Option<String>, Error> {
    let dialect = connection.dialect();
    let (condition, values) = match target {
        None => ("target IS NULL".to_owned(), vec![]),
        Some(target) => (dialect.is("target"), vec![target.into()]),
    };
    let select = format!(
        "SELECT {} FROM sip_filter_event WHERE action IN ('on', 'off') AND {condition} ORDER BY id DESC LIMIT 1",
        dialect.octets("action")
    );
    let record = connection.row(&select, &values).await.map_err(sql(READING))?;
    record.map(|record| record.text_or_empty(0)).transpose().map_err(sql(READING))
}
