//! The store on real servers: the same rows, the same schema, the same order of things as with SQLite.

mod changes;
mod schema;
mod servers;
mod switches;

use anyhow::Result;
use filter_lab::database::{Kind, Server};
use filter_user::domain::{Action, Channel, Hosts, NodeName, Origin, Switch};
use filter_user::store::{IfMissing, Store};

fn node(name: &str) -> NodeName {
    name.parse().expect("the name of a host")
}

/// Opens the database of `server` as the host `name`.
async fn open(
    server: &Server,
    name: &str,
    missing: IfMissing,
) -> Result<(Store, Vec<String>), filter_user::store::Error> {
    let table = "htable_config".parse().expect("a table name");
    Store::open(&server.url().parse().expect("a URL"), &table, &node(name), missing).await
}

/// A server with our schema, opened.
async fn start(kind: Kind) -> Result<(Server, Store)> {
    let server = Server::start(kind)?;
    let (store, _) = open(&server, "sbc1", IfMissing::Create).await?;
    Ok((server, store))
}

fn origin(actor: &str) -> Origin {
    Origin { actor: actor.into(), why: Some("upgrade".parse().unwrap()), channel: Channel::Daemon, node: "sbc1".into() }
}

fn switch(action: Action, hosts: Hosts) -> Switch {
    Switch::new(action, hosts, origin("alice"))
}

/// The rows of the policy table, as the server's own client shows them.
fn rows(server: &Server) -> Result<Vec<String>> {
    let rows = server.sql("SELECT key_name, key_value FROM htable_config ORDER BY key_name")?;
    Ok(rows.lines().map(|line| line.replace('\t', "=")).collect())
}
