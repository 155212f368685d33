//! The store on real database servers: the rows, the schema and the order of events are the same as with SQLite.
#![cfg(test)]

mod changes;
mod schema;
mod servers;
mod switches;

use filter_lab::database::{Kind, Server};
use filter_user::domain::{Action, Channel, Hosts, NodeName, Origin, Switch};
use filter_user::store::{Error, IfMissing, Store};

#[track_caller]
fn node(name: &str) -> NodeName {
    name.parse().unwrap_or_else(|error| panic!("node name {name:?}: {error}"))
}

/// Opens the database of `server` as the host `name`. Returns the store, and the steps taken to complete the schema.
async fn open(server: &Server, name: &str, missing: IfMissing) -> Result<(Store, Vec<String>), Error> {
    let table = "htable_config".parse().expect("the table name is valid");
    let url = server.url().parse().expect("the URL of the server is valid");
    Store::open(&url, &table, &node(name), missing).await
}

/// Starts a server, creates our schema on it and opens it as the host sbc1.
async fn start(kind: Kind) -> (Server, Store) {
    let server = Server::start(kind);
    let opened = open(&server, "sbc1", IfMissing::Create).await;
    let (store, _) = opened.unwrap_or_else(|error| panic!("create the schema on {kind:?}: {error}"));
    (server, store)
}

fn origin(actor: &str) -> Origin {
    Origin { actor: actor.into(), why: Some("upgrade".parse().unwrap()), channel: Channel::Daemon, node: "sbc1".into() }
}

fn switch(action: Action, hosts: Hosts) -> Switch {
    Switch::new(action, hosts, origin("alice"))
}

/// Returns the rows of the policy table as `key=value`, read with the server's own client.
#[track_caller]
fn rows(server: &Server) -> Vec<String> {
    let rows = server.sql("SELECT key_name, key_value FROM htable_config ORDER BY key_name");
    rows.lines().map(|line| line.replace('\t', "=")).collect()
}

/// Returns a runtime for one thread, for tests whose hosts run on threads of their own.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("build a runtime")
}
