//! `sip_filter_cluster`: the identity in the To tags of our responses, which all hosts share.

use super::connection::Connection;
use super::{Error, sql};
use filter_reply::TagSecret;

/// The tag that is there, or `proposed`, which is there then.
pub(super) async fn tag(connection: &mut Connection, proposed: &TagSecret) -> Result<TagSecret, Error> {
    if let Some(row) = read(connection).await? {
        return TagSecret::from_text(&row.0, &row.1).ok_or(Error::Tag);
    }
    // Several daemons may start at the same time: the first one's tag is the cluster's.
    let work = async |connection: &mut Connection| write_if_missing(connection, proposed).await;
    let (prefix, key) = connection.write("write the cluster's To tag", work).await?;
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
        .map_err(sql("write the cluster's To tag"))?;
    Ok((prefix, key))
}

async fn read(connection: &mut Connection) -> Result<Option<(String, String)>, Error> {
    let doing = "read the cluster's To tag";
    let dialect = connection.dialect();
    let (prefix, key) = (dialect.octets("tag_prefix"), dialect.octets("tag_key"));
    let select = format!("SELECT {prefix}, {key} FROM sip_filter_cluster WHERE id = 1");
    let Some(record) = connection.row(&select, &[]).await.map_err(sql(doing))? else { return Ok(None) };
    Ok(Some((record.text_or_empty(0).map_err(sql(doing))?, record.text_or_empty(1).map_err(sql(doing))?)))
}
