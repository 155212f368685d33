//! The policy table, Kamailio's htable: how its rows are read, and how a switch is written into it.

use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use super::connection::Connection;
use super::rows::{self, MAINT_UNTIL};
use super::{Error, Row, event_table, sql};
use crate::domain::{Action, Hosts, Origin, Policy, Switch, TableName, parse_planned_end};

/// What an older shape of the table may lack, or has without a default, for an INSERT.
struct Shape {
    /// The INSERT has to give the id: the table has one, and it does not count by itself (the article's).
    id: bool,
    expires: bool,
}

/// The rows that may concern us. The filter lets more through than our keys (LIKE knows no case in SQLite and MySQL),
/// never less; a htable may be large.
pub(super) async fn read(connection: &mut Connection, table: &TableName) -> Result<Vec<Row>, Error> {
    let dialect = connection.dialect();
    let select = format!(
        "SELECT {}, {}, {}, {} FROM {} WHERE key_name LIKE 'maint%' ORDER BY key_name",
        dialect.octets("key_name"),
        dialect.number("COALESCE(key_type, 0)"),
        dialect.number("COALESCE(value_type, 0)"),
        dialect.octets("key_value"),
        dialect.table(table),
    );
    let doing = "read the policy rows";
    let records = connection.rows(&select, &[]).await.map_err(sql(doing))?;
    let rows = records.iter().map(|record| {
        Ok(Row {
            key: record.text_or_empty(0)?,
            key_type: record.number_or_zero(1)?,
            value_type: record.number_or_zero(2)?,
            value: record.text(3)?,
        })
    });
    rows.collect::<sqlx::Result<_>>().map_err(sql(doing))
}

/// Writes the rows of a switch and its event, and returns the event's number. Within a transaction that writes.
pub(super) async fn switch(connection: &mut Connection, table: &TableName, switch: &Switch) -> Result<i64, Error> {
    let before = read(connection, table).await?;
    if ends_the_plan(switch, &before) {
        remove(connection, table, MAINT_UNTIL).await?;
    }
    if switch.hosts == Hosts::All {
        for key in rows::keys_of_nodes(&before) {
            remove(connection, table, key).await?;
        }
    }
    let written = rows::to_write(switch);
    put_all(connection, table, &written).await?;
    let written: Map<String, Json> = written.into_iter().map(|(key, value)| (key, value.into())).collect();
    let target = switch.hosts.node().map(ToString::to_string);
    event_table::insert(connection, switch.action.name(), target.as_deref(), &switch.origin, &written.into()).await
}

/// Whether the planned end that is in the table goes: it belongs to the maintenance that it was planned for, and one
/// that is over would undo a new switch. A switch of one host leaves the others' plan alone.
fn ends_the_plan(switch: &Switch, before: &[Row]) -> bool {
    let over = || {
        let until = rows::value(before, MAINT_UNTIL).and_then(|value| parse_planned_end(value).ok().flatten());
        until.is_none_or(|until| until <= Timestamp::now())
    };
    switch.hosts.node().is_none() || over()
}

/// Ends maintenance where its planned end is over, in the table too: Kamailio, which knows of no planned end, would
/// begin it again at its next start. Whichever host comes first does it; returns whether this one did.
pub(super) async fn end_as_planned(
    connection: &mut Connection,
    table: &TableName,
    origin: &Origin,
) -> Result<bool, Error> {
    let before = read(connection, table).await?;
    let (policy, _) = rows::interpret(&before, None, &Policy::default());
    if policy.until.is_none_or(|until| until > Timestamp::now()) {
        return Ok(false);
    }
    remove(connection, table, MAINT_UNTIL).await?;
    for key in rows::keys_of_nodes(&before) {
        remove(connection, table, key).await?;
    }
    put_all(connection, table, &[(rows::MAINT.to_owned(), "0".to_owned())]).await?;
    let written = serde_json::json!({rows::MAINT: "0"});
    event_table::insert(connection, Action::Off.name(), None, origin, &written).await?;
    Ok(true)
}

async fn put_all(connection: &mut Connection, table: &TableName, rows: &[(String, String)]) -> Result<(), Error> {
    let doing = "write the policy rows";
    let shape = shape(connection, table).await.map_err(sql(doing))?;
    for (key, value) in rows {
        put(connection, table, &shape, key, value).await.map_err(sql(doing))?;
    }
    Ok(())
}

async fn shape(connection: &mut Connection, table: &TableName) -> sqlx::Result<Shape> {
    let records = connection.rows(connection.dialect().columns(), &[table.as_str().into()]).await?;
    let mut shape = Shape { id: false, expires: false };
    for record in &records {
        match record.text_or_empty(0)?.as_str() {
            "id" => shape.id = record.number_or_zero(1)? == 0,
            "expires" => shape.expires = true,
            _ => {}
        }
    }
    Ok(shape)
}

/// Makes `key` have one row, a plain string `value`: in place if there is a row, so that its id stays.
async fn put(
    connection: &mut Connection,
    table: &TableName,
    shape: &Shape,
    key: &str,
    value: &str,
) -> sqlx::Result<()> {
    let dialect = connection.dialect();
    let (table, is) = (dialect.table(table), dialect.is("key_name"));
    let present = connection.number(&format!("SELECT COUNT(*) FROM {table} WHERE {is}"), &[key.into()]).await?;
    if present == 0 {
        return insert(connection, &table, shape, key, value).await;
    }
    let update = format!("UPDATE {table} SET key_type = 0, value_type = 0, key_value = ? WHERE {is}");
    connection.execute(&update, &[value.into(), key.into()]).await?;
    if present > 1 {
        let delete = dialect.delete_surplus(&table, &is, present);
        connection.execute(&delete, &vec![key.into(); dialect.surplus_values()]).await?;
    }
    Ok(())
}

async fn insert(connection: &mut Connection, table: &str, shape: &Shape, key: &str, value: &str) -> sqlx::Result<()> {
    let (mut names, mut places) = ("key_name, key_type, value_type, key_value".to_owned(), "?, 0, 0, ?".to_owned());
    let values = [key.into(), value.into()];
    if shape.expires {
        names += ", expires";
        places += ", 0";
    }
    if shape.id {
        // MySQL lets no INSERT read its own table.
        let number = connection.dialect().number("COALESCE(MAX(id), 0) + 1");
        let next = connection.number(&format!("SELECT {number} FROM {table}"), &[]).await?;
        names += ", id";
        places += &format!(", {next}");
    }
    connection.execute(&format!("INSERT INTO {table} ({names}) VALUES ({places})"), &values).await?;
    Ok(())
}

/// Takes the rows of `key` away.
async fn remove(connection: &mut Connection, table: &TableName, key: &str) -> Result<(), Error> {
    let dialect = connection.dialect();
    let delete = format!("DELETE FROM {} WHERE {}", dialect.table(table), dialect.is("key_name"));
    connection.execute(&delete, &[key.into()]).await.map_err(sql("write the policy rows"))?;
    Ok(())
}
