//! What we write into SQLite: a switch, events, and the cluster's To tag.

use jiff::Timestamp;
use serde_json::{Map, Value};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::super::rows::MAINT_UNTIL;
use super::super::{Error, Origin, Switch, TableName, sql};
use crate::responder::TagSecret;
use crate::tag;

/// The rows and the event, in one transaction that has the write lock from its start: what it has read
/// (which rows there are, the highest id) is still so when it writes.
pub(super) async fn switch(connection: &mut SqliteConnection, table: &TableName, switch: &Switch) -> Result<(), Error> {
    let doing = "write the policy rows";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(sql(doing))?;
    let optional = optional_columns(&mut transaction, table).await.map_err(sql(doing))?;
    // A planned end belongs to the maintenance that it was planned for: one that is over would undo a new switch.
    remove(&mut transaction, table, MAINT_UNTIL).await.map_err(sql(doing))?;
    for (key, value) in switch.rows() {
        put(&mut transaction, table, &optional, key, &value).await.map_err(sql(doing))?;
    }
    let written: Map<String, Value> =
        switch.rows().into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let action = switch.action.name();
    insert_event(&mut transaction, action, &switch.origin, &written.into()).await.map_err(sql("write the event"))?;
    transaction.commit().await.map_err(sql(doing))
}

/// Those of the table's columns that an older shape may not have, or have without a default, with what an INSERT
/// gives for them. The article's table has an `id` that does not count by itself.
async fn optional_columns(
    connection: &mut SqliteConnection,
    table: &TableName,
) -> sqlx::Result<Vec<(&'static str, String)>> {
    let columns: Vec<String> = sqlx::query_scalar("SELECT lower(name) FROM pragma_table_info(?)")
        .bind(table.as_str())
        .fetch_all(connection)
        .await?;
    let id = ("id", format!(r#"(SELECT COALESCE(MAX(id), 0) + 1 FROM "{table}")"#));
    let expires = ("expires", "0".to_owned());
    Ok([id, expires].into_iter().filter(|(name, _)| columns.iter().any(|column| column == name)).collect())
}

/// Makes `key` have one row, a plain string `value`: in place if there is a row, so that its id stays.
async fn put(
    connection: &mut SqliteConnection,
    table: &TableName,
    optional: &[(&'static str, String)],
    key: &str,
    value: &str,
) -> sqlx::Result<()> {
    let mut present = rows_of(connection, table, key).await?.into_iter();
    match present.next() {
        Some(rowid) => {
            let update = format!(r#"UPDATE "{table}" SET key_type = 0, value_type = 0, key_value = ? WHERE rowid = ?"#);
            sqlx::query(AssertSqlSafe(update)).bind(value).bind(rowid).execute(&mut *connection).await?;
        }
        None => {
            let (names, values): (String, String) =
                optional.iter().map(|(name, value)| (format!(", {name}"), format!(", {value}"))).unzip();
            let insert = format!(
                r#"INSERT INTO "{table}" (key_name, key_type, value_type, key_value{names}) VALUES (?, 0, 0, ?{values})"#
            );
            sqlx::query(AssertSqlSafe(insert)).bind(key).bind(value).execute(&mut *connection).await?;
        }
    }
    for rowid in present {
        delete(connection, table, rowid).await?;
    }
    Ok(())
}

/// Takes the rows of `key` away.
async fn remove(connection: &mut SqliteConnection, table: &TableName, key: &str) -> sqlx::Result<()> {
    for rowid in rows_of(connection, table, key).await? {
        delete(connection, table, rowid).await?;
    }
    Ok(())
}

async fn delete(connection: &mut SqliteConnection, table: &TableName, rowid: i64) -> sqlx::Result<()> {
    let delete = format!(r#"DELETE FROM "{table}" WHERE rowid = ?"#);
    sqlx::query(AssertSqlSafe(delete)).bind(rowid).execute(connection).await?;
    Ok(())
}

/// The rows of `key`, which is compared here, octet by octet.
async fn rows_of(connection: &mut SqliteConnection, table: &TableName, key: &str) -> sqlx::Result<Vec<i64>> {
    let select = format!(r#"SELECT rowid, CAST(key_name AS BLOB) FROM "{table}" WHERE key_name LIKE 'maint%'"#);
    let all: Vec<(i64, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(select)).fetch_all(connection).await?;
    Ok(all.into_iter().filter(|(_, name)| name == key.as_bytes()).map(|(rowid, _)| rowid).collect())
}

/// Remembers what was done: `written` is a JSON object of it.
pub(super) async fn insert_event(
    connection: &mut SqliteConnection,
    action: &str,
    origin: &Origin,
    written: &Value,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO sip_filter_event (at_ms, node, actor, via, action, why, written) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(Timestamp::now().as_millisecond())
    .bind(&origin.node)
    .bind(&origin.actor)
    .bind(origin.via.name())
    .bind(action)
    .bind(&origin.why)
    .bind(written.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// The tag that is there, or `proposed`, which is there then.
pub(super) async fn tag(connection: &mut SqliteConnection, proposed: &TagSecret) -> Result<TagSecret, Error> {
    let doing = "read the cluster's To tag";
    let select = "SELECT tag_prefix, tag_key FROM sip_filter_cluster WHERE id = 1";
    let mut row: Option<(String, String)> =
        sqlx::query_as(select).fetch_optional(&mut *connection).await.map_err(sql(doing))?;
    if row.is_none() {
        let (prefix, key) = tag::to_text(proposed);
        // Several daemons may start at the same time: the first one's tag is the cluster's.
        sqlx::query("INSERT INTO sip_filter_cluster (id, tag_prefix, tag_key) VALUES (1, ?, ?) ON CONFLICT DO NOTHING")
            .bind(prefix)
            .bind(key)
            .execute(&mut *connection)
            .await
            .map_err(sql("write the cluster's To tag"))?;
        row = sqlx::query_as(select).fetch_optional(&mut *connection).await.map_err(sql(doing))?;
    }
    row.and_then(|(prefix, key)| tag::from_text(&prefix, &key)).ok_or(Error::Tag)
}
