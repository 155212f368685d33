//! The store on real servers: the same rows, the same schema, the same order of things as with SQLite.

mod changes;
mod schema;
mod servers;
mod switches;

use anyhow::Result;
use filter_lab::database::{Kind, Server};
use filter_user::store::{Action, Missing, NodeName, Origin, Scope, Store, Switch, Via};

fn node(name: &str) -> NodeName {
    name.parse().expect("the name of a host")
}

/// Opens the database of `server` as the host `name`.
async fn open(
    server: &Server,
    name: &str,
    missing: Missing,
) -> Result<(Store, Vec<String>), filter_user::store::Error> {
    let table = "htable_config".parse().expect("a table name");
    Store::open(&server.url().parse().expect("a URL"), &table, &node(name), missing).await
}

/// A server with our schema, opened.
async fn start(kind: Kind) -> Result<(Server, Store)> {
    let server = Server::start(kind);
    let (store, _) = open(&server, "sbc1", Missing::Create).await?;
    Ok((server, store))
}

fn origin(actor: &str) -> Origin {
    Origin { actor: actor.into(), why: Some("upgrade".into()), via: Via::Daemon, node: "sbc1".into() }
}

fn switch(action: Action, scope: Scope) -> Switch {
    Switch::new(action, scope, origin("alice"))
}

/// The rows of the policy table, as the server's own client shows them.
fn rows(server: &Server) -> Result<Vec<String>> {
    let rows = server.sql("SELECT key_name, key_value FROM htable_config ORDER BY key_name");
    Ok(rows.lines().map(|line| line.replace('\t', "=")).collect())
}
