//! The tables of exemptions in SQLite.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};

use super::super::{Change, Changed, Edit, Entry, Error, Exemption, sql};
use super::text;
use super::write::insert_event;

fn reading(exemption: Exemption) -> &'static str {
    match exemption {
        Exemption::Bypass => "read the table sip_filter_bypass",
        Exemption::Emergency => "read the table sip_filter_emergency",
    }
}

fn writing(exemption: Exemption) -> &'static str {
    match exemption {
        Exemption::Bypass => "write the table sip_filter_bypass",
        Exemption::Emergency => "write the table sip_filter_emergency",
    }
}

/// The entries as they stand, NULL as nothing (which no entry is).
pub(super) async fn texts(connection: &mut SqliteConnection, exemption: Exemption) -> Result<Vec<String>, Error> {
    let rows = with_row_ids(connection, exemption).await?;
    Ok(rows.into_iter().map(|(_, text)| text).collect())
}

async fn with_row_ids(connection: &mut SqliteConnection, exemption: Exemption) -> Result<Vec<(i64, String)>, Error> {
    let (table, column) = (exemption.table(), exemption.column());
    let select = format!("SELECT rowid, COALESCE(CAST({column} AS BLOB), x'') FROM {table} ORDER BY {column}");
    sqlx::query(AssertSqlSafe(select))
        .try_map(|row: SqliteRow| Ok((row.try_get(0)?, text(row.try_get(1)?))))
        .fetch_all(connection)
        .await
        .map_err(sql(reading(exemption)))
}

/// The entries with who added them, when and why.
pub(super) async fn list(connection: &mut SqliteConnection, exemption: Exemption) -> Result<Vec<Entry>, Error> {
    let (table, column) = (exemption.table(), exemption.column());
    let select = format!(
        "SELECT COALESCE(CAST({column} AS BLOB), x''), CAST(why AS BLOB), CAST(actor AS BLOB), CAST(at_ms AS INTEGER)
         FROM {table} ORDER BY {column}"
    );
    sqlx::query(AssertSqlSafe(select)).try_map(entry).fetch_all(connection).await.map_err(sql(reading(exemption)))
}

fn entry(row: SqliteRow) -> sqlx::Result<Entry> {
    let optional = |index: usize| row.try_get::<Option<Vec<u8>>, _>(index);
    let at: Option<i64> = row.try_get(3)?;
    Ok(Entry {
        text: text(row.try_get(0)?),
        why: optional(1)?.map(text),
        actor: optional(2)?.map(text),
        at: at.and_then(|at| Timestamp::from_millisecond(at).ok()),
    })
}

/// The entries and the event, in one transaction that has the write lock from its start. Without anything to change
/// there is no event either.
pub(super) async fn change(connection: &mut SqliteConnection, change: &Change) -> Result<Changed, Error> {
    let exemption = change.exemption;
    let doing = writing(exemption);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(sql(doing))?;
    let present = by_entry(&mut transaction, exemption).await?;
    let mut done = Changed::default();
    for wanted in change.entries() {
        let changed = match (change.edit, present.get(wanted)) {
            (Edit::Add, None) => insert(&mut transaction, change, wanted).await.map(|()| true),
            (Edit::Remove, Some(rows)) => delete(&mut transaction, exemption, rows).await.map(|()| true),
            (Edit::Add, Some(_)) => Ok(false),
            // It is not there, but it has to be one that could be.
            (Edit::Remove, None) => exemption.canonical(wanted).map(|_| Ok(false))?,
        };
        let list = if changed.map_err(sql(doing))? { &mut done.changed } else { &mut done.unchanged };
        list.push(wanted.clone());
    }
    let tally = exemption.tally(&texts(&mut transaction, exemption).await?);
    if change.edit == Edit::Add && !done.changed.is_empty() && tally.largest > exemption.most() {
        return Err(Error::Full { table: exemption.table(), most: exemption.most() });
    }
    done.left = tally.usable;
    if !done.changed.is_empty() {
        let written: Value = json!({exemption.column(): done.changed});
        insert_event(&mut transaction, change.action(), &change.origin, &written)
            .await
            .map_err(sql("write the event"))?;
    }
    transaction.commit().await.map_err(sql(doing))?;
    Ok(done)
}

/// The rows of each entry, by our spelling of it: others may spell it in another way, and in several.
async fn by_entry(connection: &mut SqliteConnection, exemption: Exemption) -> Result<HashMap<String, Vec<i64>>, Error> {
    let mut entries: HashMap<String, Vec<i64>> = HashMap::new();
    for (row, text) in with_row_ids(connection, exemption).await? {
        entries.entry(exemption.canonical(&text).unwrap_or(text)).or_default().push(row);
    }
    Ok(entries)
}

async fn insert(connection: &mut SqliteConnection, change: &Change, entry: &str) -> sqlx::Result<()> {
    let (table, column) = (change.exemption.table(), change.exemption.column());
    let insert = format!("INSERT INTO {table} ({column}, why, actor, at_ms) VALUES (?, ?, ?, ?)");
    sqlx::query(AssertSqlSafe(insert))
        .bind(entry)
        .bind(&change.origin.why)
        .bind(&change.origin.actor)
        .bind(Timestamp::now().as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

async fn delete(connection: &mut SqliteConnection, exemption: Exemption, rows: &[i64]) -> sqlx::Result<()> {
    for row in rows {
        let delete = format!("DELETE FROM {} WHERE rowid = ?", exemption.table());
        sqlx::query(AssertSqlSafe(delete)).bind(row).execute(&mut *connection).await?;
    }
    Ok(())
}
