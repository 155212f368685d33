//! Without a daemon: a command that writes the database itself, and says that nobody here has applied it.

use anyhow::{Context, anyhow};
use filter_user::config::Settings;
use filter_user::domain::{Channel, Origin, Why};
use filter_user::store::{Error, IfMissing, Recovery, Store};
use nix::unistd::{User, getuid};
use serde_json::Value;

/// The person who runs the command.
pub(super) fn origin(settings: &Settings, why: Option<Why>) -> Origin {
    let uid = getuid();
    let user = User::from_uid(uid).ok().flatten();
    let actor = user.map_or_else(|| format!("uid {uid}"), |user| user.name);
    Origin { actor, why, channel: Channel::Database, node: settings.node.to_string() }
}

/// Opens the database, works with it, and closes it. Returns what the work returns, and what opening it has done to
/// the schema.
///
/// A database that is not there is not made: a mistyped URL would get an empty one, and the change would be nobody's.
pub(super) fn work<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&mut Store) -> Result<T, Error>,
) -> anyhow::Result<(T, Vec<String>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let done = runtime.block_on(async {
        let (mut store, steps) =
            Store::open(&settings.database, &settings.table, &settings.node, IfMissing::Fail).await?;
        let done = work(&mut store).await;
        store.close().await;
        Ok((done?, steps))
    });
    done.map_err(|error: Error| match error {
        // The database is well: it is the person who has to ask for something else.
        error if error.recovery() == Recovery::Reject => error.into(),
        error => anyhow!("database {}: {error}", settings.database.display()),
    })
}

/// The lines on what opening the database has done to its schema.
pub(super) fn schema_lines(answer: &Value) -> Vec<(String, String)> {
    let steps = answer["schema"].as_array().into_iter().flatten();
    steps.map(|step| ("database".to_owned(), text(step))).collect()
}

/// The line that says that it is not in force.
pub(super) fn not_applied(settings: &Settings) -> (String, String) {
    let socket = settings.socket.display();
    ("NOT APPLIED".into(), format!("no daemon here has applied it: none listens on {socket}"))
}

/// A string without its quotes; anything else as JSON.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
