//! Tests of the store on SQLite, with real files and the real `sqlite3` tool. Those with real servers are in
//! `tests/integration/tests/store`.

mod changes;
mod cluster;
mod entries;
mod schema;
mod switches;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{DatabaseUrl, Error, IfMissing, Store, sqlite3};
use crate::domain::{Action, Channel, Hosts, NodeName, Origin, Switch};

/// A path for a database file, in a directory of its own.
struct Database {
    path: PathBuf,
    _directory: TempDir,
}

impl Database {
    /// Chooses the path. There is no file yet.
    #[track_caller]
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        Self { path: directory.path().join("state/sip-filter.db"), _directory: directory }
    }

    /// Creates the file with the `sqlite3` tool.
    #[track_caller]
    fn with_sql(statement: &str) -> Self {
        let database = Self::new();
        std::fs::create_dir(database.path.parent().unwrap()).unwrap();
        database.sql(statement);
        database
    }

    /// Creates the file and our schema, and opens it.
    async fn with_schema() -> (Self, Store) {
        let database = Self::new();
        let (store, _) = database.open(IfMissing::Create).await.unwrap();
        (database, store)
    }

    async fn open(&self, if_missing: IfMissing) -> Result<(Store, Vec<String>), Error> {
        Store::open(&url(&self.path), &"htable_config".parse().unwrap(), &node(), if_missing).await
    }

    /// Runs `statement` with the `sqlite3` tool. Returns its output.
    #[track_caller]
    fn sql(&self, statement: &str) -> String {
        sqlite3(&self.path, statement)
    }
}

#[track_caller]
fn url(path: &Path) -> DatabaseUrl {
    format!("sqlite://{}", path.display()).parse().unwrap()
}

fn node() -> NodeName {
    "sbc1".parse().unwrap()
}

fn switch(action: Action) -> Switch {
    let origin = Origin { actor: "alice".into(), why: None, channel: Channel::Daemon, node: "sbc1".into() };
    Switch::new(action, Hosts::Cluster, origin)
}
