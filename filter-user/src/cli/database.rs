//! The database, for commands that find no daemon.

use filter_user::config::Settings;
use filter_user::domain::{Channel, Origin, Why};
use filter_user::store::{self, IfMissing, Recovery, Store};
use filter_user::user;
use nix::unistd::getuid;
use serde::Serialize;

use super::error::Error;
use super::output::Line;
use super::runtime::block_on;

/// What was done to the database besides the change, and that no daemon on this host has applied it.
#[derive(Debug, Serialize)]
pub(super) struct NotApplied {
    applied: bool,
    database: String,
    schema: Vec<String>,
    #[serde(skip)]
    socket: String,
}

impl NotApplied {
    fn new(settings: &Settings, schema: Vec<String>) -> Self {
        Self {
            applied: false,
            database: settings.database.display().to_string(),
            schema,
            socket: settings.socket.display().to_string(),
        }
    }

    /// Returns the database, as it may be shown.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// Returns `lines` between a line for each change of the schema and the line that the change is not applied.
    pub(super) fn around(&self, lines: impl IntoIterator<Item = Line>) -> Vec<Line> {
        let mut all: Vec<Line> = self.schema.iter().map(|step| ("database", step.clone())).collect();
        all.extend(lines);
        all.push(("NOT APPLIED", format!("no daemon on this host has applied it: none listens on {}", self.socket)));
        all
    }
}

/// Opens the database, uses it and closes it. Returns what `work` returns.
///
/// A database that does not exist is not created: with a mistyped URL, the change would have no effect.
pub(super) fn with_store<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&mut Store) -> Result<T, store::Error>,
) -> Result<(T, NotApplied), Error> {
    let worked = block_on(async {
        let (mut store, schema) =
            Store::open(&settings.database, &settings.table, &settings.node, IfMissing::Fail).await?;
        let worked = work(&mut store).await;
        store.close().await;
        Ok((worked?, schema))
    })?;
    let (worked, schema) = worked.map_err(|error| store_error(settings, error))?;
    Ok((worked, NotApplied::new(settings, schema)))
}

/// Returns the origin of a change that the user of this process makes.
pub(super) fn origin(settings: &Settings, why: Option<Why>) -> Origin {
    Origin { actor: user::name(getuid()), why, channel: Channel::Database, node: settings.node.to_string() }
}

/// Names the database in an error, unless the error is about what was asked for.
pub(super) fn store_error(settings: &Settings, error: store::Error) -> Error {
    if error.recovery() == Recovery::Reject {
        Error::usage(error)
    } else {
        Error::failed(format!("database {}: {error}", settings.database.display()))
    }
}
