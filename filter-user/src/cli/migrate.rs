//! `sip-filter migrate`.

use filter_user::config::Settings;
use filter_user::store::{self, IfMissing, Store};
use serde::Serialize;

use super::database::store_error;
use super::error::{Error, Outcome};
use super::output::{Line, Output, pairs};
use super::runtime::block_on;

/// What `migrate` prints as JSON.
#[derive(Serialize)]
struct Migrated {
    database: String,
    steps: Vec<String>,
}

pub(super) fn migrate(settings: &Settings, output: Output) -> Result<Outcome, Error> {
    let opened = block_on(async {
        let (store, steps) =
            Store::open(&settings.database, &settings.table, &settings.node, IfMissing::Create).await?;
        store.close().await;
        Ok::<_, store::Error>(steps)
    })?;
    let steps = opened.map_err(|error| store_error(settings, error))?;
    let migrated = Migrated { database: settings.database.display().to_string(), steps };
    output.print(&migrated, || pairs(&lines(&migrated)))?;
    Ok(Outcome::Done)
}

fn lines(Migrated { database, steps }: &Migrated) -> Vec<Line> {
    let mut lines = vec![("database", database.clone())];
    lines.extend(steps.iter().map(|step| ("done", step.clone())));
    if steps.is_empty() {
        lines.push(("done", "nothing, it is up to date".into()));
    }
    lines
}
