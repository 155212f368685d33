//! The table `sip_filter_cluster`: the secret of our To tags, which all hosts share.

use super::connection::Connection;
use super::error::{Error, while_doing};
use crate::domain::TagSecret;

const READING: &str = "read the cluster's To tag";
const WRITING: &str = "write the cluster's To tag";

/// Returns the cluster's secret. Stores `proposed` as such if there is none yet.
pub(super) async fn tag(connection: &mut Connection, proposed: &TagSecret) -> Result<TagSecret, Error> {
    let (prefix, key) = if let Some(row) = read(connection).await? {
        row
    } else {
        // Daemons may start at the same time: the secret of the first one is the cluster's.
        let work = async |connection: &mut Connection| write_if_missing(connection, proposed).await;
        connection.write(WRITING, work).await?
    };
    TagSecret::from_text(&prefix, &key).ok_or(Error::Tag)
}

async fn write_if_missing(connection: &mut Connection, proposed: &TagSecret) -> Result<(String, String), Error> {
    if let Some(row) = read(connection).await? {
        return Ok(row);
    }
    let (prefix, key) = proposed.to_text();
    connection
        .execute(
            "INSERT INTO sip_filter_cluster (id, tag_prefix, tag_key) VALUES (1, ?, ?)",
            &[(&prefix).into(), (&key).into()],
        )
        .await
        .map_err(while_doing(WRITING))?;
    Ok((prefix, key))
}

async fn read(connection: &mut Connection) -> Result<Option<(String, String)>, Error> {
    let dialect = connection.dialect();
    let (prefix, key) = (dialect.bytes("tag_prefix"), dialect.bytes("tag_key"));
    let select = format!("SELECT {prefix}, {key} FROM sip_filter_cluster WHERE id = 1");
    let Some(record) = connection.row(&select, &[]).await.map_err(while_doing(READING))? else { return Ok(None) };
    let column = |column| record.text_or_empty(column).map_err(while_doing(READING));
    Ok(Some((column(0)?, column(1)?)))
}
