//! `sip-filter migrate`.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use filter_user::config::Settings;
use filter_user::store::{IfMissing, Store};
use serde_json::json;

use super::output::{Output, pairs};

pub(super) fn migrate(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let database = settings.database.display();
    let steps = runtime
        .block_on(async {
            let (store, steps) =
                Store::open(&settings.database, &settings.table, &settings.node, IfMissing::Create).await?;
            store.close().await;
            Ok::<_, filter_user::store::Error>(steps)
        })
        .map_err(|error| anyhow!("database {database}: {error}"))?;
    output.print(&json!({"database": database.to_string(), "steps": steps}), || {
        let mut lines = vec![("database".to_owned(), database.to_string())];
        lines.extend(steps.iter().map(|step| ("done".to_owned(), step.clone())));
        if steps.is_empty() {
            lines.push(("done".into(), "nothing, it is up to date".into()));
        }
        Ok(pairs(&lines))
    })?;
    Ok(ExitCode::SUCCESS)
}
