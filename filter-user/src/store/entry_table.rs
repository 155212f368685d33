//! The tables of the lists (`sip_filter_bypass` and so on): the entries, with who added them and why.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::json;

use super::connection::Connection;
use super::entries::Tally;
use super::error::{Error, while_doing};
use super::event_table;
use super::list_names::ListNames;
use crate::domain::{Change, Changed, Edit, Entry, EntryList};

/// Returns the entries as written. NULL, which SQLite allows even in this column, becomes an empty text, which is not a
/// valid entry.
pub(super) async fn texts(connection: &mut Connection, list: EntryList) -> Result<Vec<String>, Error> {
    let ListNames { table, column, reading, .. } = ListNames::of(list);
    let select = format!("SELECT {} FROM {table} ORDER BY {column}", connection.dialect().bytes(column));
    let records = connection.rows(&select, &[]).await.map_err(while_doing(reading))?;
    let texts = records.iter().map(|record| record.text_or_empty(0));
    texts.collect::<sqlx::Result<_>>().map_err(while_doing(reading))
}

/// Returns the entries of `lists` with who added them, when and why.
pub(super) async fn list(connection: &mut Connection, lists: &[EntryList]) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for list in lists {
        entries.extend(entries_of(connection, *list).await?);
    }
    Ok(entries)
}

async fn entries_of(connection: &mut Connection, list: EntryList) -> Result<Vec<Entry>, Error> {
    let (ListNames { table, column, reading, .. }, dialect) = (ListNames::of(list), connection.dialect());
    let texts = [column, "why", "actor"].map(|name| dialect.bytes(name)).join(", ");
    let select = format!("SELECT {texts}, {} FROM {table} ORDER BY {column}", dialect.number("at_ms"));
    let records = connection.rows(&select, &[]).await.map_err(while_doing(reading))?;
    let entries = records.iter().map(|record| {
        Ok(Entry {
            list,
            text: record.text_or_empty(0)?,
            why: record.text(1)?,
            actor: record.text(2)?,
            at: record.number(3)?.and_then(|at| Timestamp::from_millisecond(at).ok()),
        })
    });
    entries.collect::<sqlx::Result<_>>().map_err(while_doing(reading))
}

/// Changes the entries and writes the event, unless nothing changes. Called within a transaction that writes.
pub(super) async fn change(connection: &mut Connection, change: &Change) -> Result<Changed, Error> {
    let list = change.list;
    let ListNames { member, writing, .. } = ListNames::of(list);
    let writing = while_doing(writing);
    let before = texts(connection, list).await?;
    let present = by_canonical(&before, list);
    let mut done = Changed::default();
    for wanted in change.entries() {
        let list = match (change.edit, present.get(wanted)) {
            (Edit::Add, None) => {
                insert(connection, change, wanted).await.map_err(&writing)?;
                &mut done.changed
            }
            (Edit::Remove, Some(texts)) => {
                delete(connection, list, texts).await.map_err(&writing)?;
                &mut done.changed
            }
            (Edit::Add, Some(_)) => &mut done.unchanged,
            (Edit::Remove, None) => {
                // An invalid entry that is not in the table is a typing mistake.
                list.canonical(wanted)?;
                &mut done.unchanged
            }
        };
        list.push(wanted.clone());
    }
    let tally = Tally::new(list, &texts(connection, list).await?);
    if change.edit == Edit::Add && !done.changed.is_empty() && tally.is_over_limit() {
        return Err(Error::Full(list));
    }
    done.left = tally.valid();
    if !done.changed.is_empty() {
        let written = json!({member: done.changed});
        event_table::insert(connection, change.action(), None, &change.origin, &written).await?;
    }
    Ok(done)
}

/// Returns a digest of each list. It changes with any entry.
pub(super) async fn digests(connection: &mut Connection) -> Result<Vec<String>, Error> {
    let watching = while_doing("watch the lists");
    let digests = EntryList::ALL.map(|list| {
        let ListNames { table, column, .. } = ListNames::of(list);
        connection.dialect().digest(table, column)
    });
    let select = format!("SELECT {}", digests.join(", "));
    let record = connection.row(&select, &[]).await.map_err(&watching)?;
    let texts = record.iter().flat_map(|record| (0..digests.len()).map(|column| record.text_or_empty(column)));
    texts.collect::<sqlx::Result<_>>().map_err(&watching)
}

/// Returns the texts of each entry by its canonical spelling. Other programs may have written it several times, in
/// different spellings.
fn by_canonical(texts: &[String], list: EntryList) -> HashMap<String, Vec<&String>> {
    let mut entries: HashMap<String, Vec<&String>> = HashMap::new();
    for text in texts {
        entries.entry(list.canonical(text).unwrap_or_else(|_| text.clone())).or_default().push(text);
    }
    entries
}

async fn insert(connection: &mut Connection, change: &Change, entry: &str) -> sqlx::Result<()> {
    let ListNames { table, column, .. } = ListNames::of(change.list);
    let insert = format!("INSERT INTO {table} ({column}, why, actor, at_ms) VALUES (?, ?, ?, ?)");
    let Change { origin, .. } = change;
    let at = Timestamp::now().as_millisecond();
    connection.execute(&insert, &[entry.into(), (&origin.why).into(), (&origin.actor).into(), at.into()]).await?;
    Ok(())
}

async fn delete(connection: &mut Connection, list: EntryList, texts: &[&String]) -> sqlx::Result<()> {
    let ListNames { table, column, .. } = ListNames::of(list);
    let is_text = connection.dialect().equals(&format!("COALESCE({column}, '')"));
    for text in texts {
        connection.execute(&format!("DELETE FROM {table} WHERE {is_text}"), &[(*text).into()]).await?;
    }
    Ok(())
}
