//! The policy table, Kamailio's htable: reading its rows, and writing switches.

use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use super::connection::Connection;
use super::error::{Error, while_doing};
use super::event_table;
use super::rows::{self, MAINT_UNTIL, Row, Stated};
use crate::domain::{Action, Hosts, Origin, Switch, TableName};

const READING: &str = "read the policy rows";
const WRITING: &str = "write the policy rows";

/// The columns that an INSERT has to name besides key and value. They depend on the origin of the table.
struct ExtraColumns {
    /// True if there is an id that is not generated, as in tables that were not created by Kamailio's own script.
    id: bool,
    /// True if there is the column `expires`, which may lack a default.
    expires: bool,
}

/// Returns the rows that may concern us: a htable may be large. Rows of other keys may be among them, because LIKE
/// ignores case in SQLite and MySQL.
pub(super) async fn read(connection: &mut Connection, table: &TableName) -> Result<Vec<Row>, Error> {
    let dialect = connection.dialect();
    let select = format!(
        "SELECT {}, {}, {}, {} FROM {} WHERE key_name LIKE 'maint%' ORDER BY key_name",
        dialect.bytes("key_name"),
        dialect.number("COALESCE(key_type, 0)"),
        dialect.number("COALESCE(value_type, 0)"),
        dialect.bytes("key_value"),
        dialect.quoted(table),
    );
    let records = connection.rows(&select, &[]).await.map_err(while_doing(READING))?;
    let rows = records.iter().map(|record| {
        Ok(Row {
            key: record.text_or_empty(0)?,
            key_type: record.number_or_zero(1)?,
            value_type: record.number_or_zero(2)?,
            value: record.text(3)?,
        })
    });
    rows.collect::<sqlx::Result<_>>().map_err(while_doing(READING))
}

/// Writes the rows of a switch and its event. Returns the number of the event. Called within a transaction that writes.
pub(super) async fn switch(connection: &mut Connection, table: &TableName, switch: &Switch) -> Result<i64, Error> {
    let before = read(connection, table).await?;
    if cancels_planned_end(switch, &before) {
        remove(connection, table, MAINT_UNTIL).await?;
    }
    if switch.hosts == Hosts::All {
        for key in rows::node_keys(&before) {
            remove(connection, table, key).await?;
        }
    }
    let written = rows::to_write(switch);
    put_all(connection, table, &written).await?;
    let written: Map<String, Json> = written.into_iter().map(|(key, value)| (key, value.into())).collect();
    let target = switch.hosts.node().map(ToString::to_string);
    event_table::insert(connection, switch.action.name(), target.as_deref(), &switch.origin, &written.into()).await
}

/// Returns whether a switch deletes the planned end in the table.
///
/// The end belongs to the maintenance that it was planned for, and one that has passed would undo a new switch. A
/// switch of one host does not cancel the end that was planned for all.
fn cancels_planned_end(switch: &Switch, before: &[Row]) -> bool {
    let is_pending = || matches!(rows::planned_end(before), Stated::Value(Some(end)) if end > Timestamp::now());
    switch.hosts.node().is_none() || !is_pending()
}

/// Ends maintenance in the table if its planned end has passed. Returns whether it did: only the first host does.
///
/// Kamailio does not know planned ends, and would begin maintenance again at its next start.
pub(super) async fn end_as_planned(
    connection: &mut Connection,
    table: &TableName,
    origin: &Origin,
) -> Result<bool, Error> {
    let before = read(connection, table).await?;
    if !matches!(rows::planned_end(&before), Stated::Value(Some(end)) if end <= Timestamp::now()) {
        return Ok(false);
    }
    remove(connection, table, MAINT_UNTIL).await?;
    for key in rows::node_keys(&before) {
        remove(connection, table, key).await?;
    }
    put_all(connection, table, &[(rows::MAINT.to_owned(), "0".to_owned())]).await?;
    let written = serde_json::json!({rows::MAINT: "0"});
    event_table::insert(connection, Action::Off.name(), None, origin, &written).await?;
    Ok(true)
}

async fn put_all(connection: &mut Connection, table: &TableName, rows: &[(String, String)]) -> Result<(), Error> {
    let extra = extra_columns(connection, table).await.map_err(while_doing(WRITING))?;
    for (key, value) in rows {
        put(connection, table, &extra, key, value).await.map_err(while_doing(WRITING))?;
    }
    Ok(())
}

async fn extra_columns(connection: &mut Connection, table: &TableName) -> sqlx::Result<ExtraColumns> {
    let records = connection.rows(connection.dialect().columns(), &[table.as_str().into()]).await?;
    let mut extra = ExtraColumns { id: false, expires: false };
    for record in &records {
        match record.text_or_empty(0)?.as_str() {
            "id" => extra.id = record.number_or_zero(1)? == 0,
            "expires" => extra.expires = true,
            _ => {}
        }
    }
    Ok(extra)
}

/// Makes the string `value` the only row of `key`. An existing row is updated, so that its id stays.
async fn put(
    connection: &mut Connection,
    table: &TableName,
    extra: &ExtraColumns,
    key: &str,
    value: &str,
) -> sqlx::Result<()> {
    let dialect = connection.dialect();
    let (table, is_key) = (dialect.quoted(table), dialect.equals("key_name"));
    let count = connection.number(&format!("SELECT COUNT(*) FROM {table} WHERE {is_key}"), &[key.into()]).await?;
    if count == 0 {
        return insert(connection, &table, extra, key, value).await;
    }
    let update = format!("UPDATE {table} SET key_type = 0, value_type = 0, key_value = ? WHERE {is_key}");
    connection.execute(&update, &[value.into(), key.into()]).await?;
    if count > 1 {
        let delete = dialect.delete_surplus(&table, &is_key, count);
        connection.execute(&delete, &vec![key.into(); dialect.surplus_values()]).await?;
    }
    Ok(())
}

async fn insert(
    connection: &mut Connection,
    table: &str,
    extra: &ExtraColumns,
    key: &str,
    value: &str,
) -> sqlx::Result<()> {
    let mut columns = vec![("key_name", "?"), ("key_type", "0"), ("value_type", "0"), ("key_value", "?")];
    if extra.expires {
        columns.push(("expires", "0"));
    }
    let id;
    if extra.id {
        // A query of its own, because in MySQL an INSERT cannot read its own table.
        let number = connection.dialect().number("COALESCE(MAX(id), 0) + 1");
        id = connection.number(&format!("SELECT {number} FROM {table}"), &[]).await?.to_string();
        columns.push(("id", &id));
    }
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
    connection.execute(&insert, &[key.into(), value.into()]).await?;
    Ok(())
}

/// Deletes the rows of `key`.
async fn remove(connection: &mut Connection, table: &TableName, key: &str) -> Result<(), Error> {
    let dialect = connection.dialect();
    let delete = format!("DELETE FROM {} WHERE {}", dialect.quoted(table), dialect.equals("key_name"));
    connection.execute(&delete, &[key.into()]).await.map_err(while_doing(WRITING))?;
    Ok(())
}
