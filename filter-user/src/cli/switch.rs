//! `sip-filter on` and `sip-filter off`.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use filter_user::config::Settings;
use filter_user::control::{Client, ClientError, OffParams, OnParams};
use filter_user::node;
use filter_user::policy::Refusal;
use filter_user::store::{Action, Missing, Store, Switch, Via};
use nix::unistd::{User, getuid};
use serde_json::{Map, Value, json};

use super::output::{InForce, Output, pairs};

/// Options of `on`.
#[derive(Args)]
pub(super) struct OnOptions {
    /// Status code of the answer, 400 to 699 [row maint_code, 503 without it]
    #[arg(long, value_name = "N", value_parser = Refusal::parse_code)]
    code: Option<u16>,

    /// Reason phrase of the answer, at most 128 bytes [row maint_reason, Maintenance without it]
    #[arg(long, value_name = "TEXT", value_parser = Refusal::parse_reason)]
    reason: Option<String>,

    /// Retry-After of the answer in seconds, 0 (none) to 86400 [row maint_retry_after, 30 without it]
    #[arg(long, value_name = "S", value_parser = Refusal::parse_retry_after)]
    retry_after: Option<u32>,

    /// Why, for those who ask later; at most 1000 bytes
    #[arg(long, value_name = "TEXT", value_parser = Switch::parse_why)]
    why: Option<String>,
}

/// Options of `off`.
#[derive(Args)]
pub(super) struct OffOptions {
    /// Why, for those who ask later; at most 1000 bytes
    #[arg(long, value_name = "TEXT", value_parser = Switch::parse_why)]
    why: Option<String>,
}

pub(super) fn on(settings: &Settings, options: OnOptions, output: Output) -> anyhow::Result<ExitCode> {
    let OnOptions { code, reason, retry_after, why } = options;
    let params = OnParams { code, reason, retry_after, why };
    let wire = serde_json::to_value(&params)?;
    switch(settings, Action::On, params, wire, output)
}

pub(super) fn off(settings: &Settings, options: OffOptions, output: Output) -> anyhow::Result<ExitCode> {
    let wire = serde_json::to_value(OffParams { why: options.why.clone() })?;
    switch(settings, Action::Off, OnParams { why: options.why, ..OnParams::default() }, wire, output)
}

/// Through the daemon if there is one, else into the database.
fn switch(
    settings: &Settings,
    action: Action,
    params: OnParams,
    wire: Value,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match Client::connect(&settings.socket) {
        Ok(mut client) => {
            let mut answer = client.call(action.name(), wire)?;
            let in_force: InForce = serde_json::from_value(answer.clone())?;
            answer["applied"] = true.into();
            output.print(&answer, || Ok(pairs(&in_force.lines())))?;
        }
        Err(ClientError::NoDaemon(_)) => {
            let answer = write(settings, action, params)?;
            output.print(&answer, || Ok(not_applied(settings, &answer)))?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A database that is not there is not made: a mistyped URL would get an empty one, and the switch would be nobody's.
fn write(settings: &Settings, action: Action, params: OnParams) -> anyhow::Result<Value> {
    let uid = getuid();
    let user = User::from_uid(uid).ok().flatten();
    let switch = Switch {
        action,
        code: params.code,
        reason: params.reason,
        retry_after: params.retry_after,
        why: params.why,
        actor: user.map_or_else(|| format!("uid {uid}"), |user| user.name),
        via: Via::Database,
        node: node::name(),
    };
    let rows: Map<String, Value> =
        switch.rows().into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let database = settings.database.display();
    let steps = runtime
        .block_on(async {
            let (mut store, steps) = Store::open(&settings.database, &settings.table, Missing::Refuse).await?;
            store.switch(&switch).await?;
            store.close().await;
            Ok::<_, filter_user::store::Error>(steps)
        })
        .map_err(|error| anyhow!("database {database}: {error}"))?;
    Ok(json!({
        "applied": false,
        "database": database.to_string(),
        "table": settings.table.as_str(),
        "written": rows,
        "schema": steps,
    }))
}

fn not_applied(settings: &Settings, answer: &Value) -> String {
    let mut lines: Vec<(String, String)> =
        answer["schema"].as_array().into_iter().flatten().map(|step| ("database".to_owned(), text(step))).collect();
    let rows = answer["written"].as_object().into_iter().flatten();
    let rows: Vec<String> = rows.map(|(key, value)| format!("{key} = {}", text(value))).collect();
    let place = format!("{}, table {}", settings.database.display(), settings.table);
    lines.push(("written".into(), format!("{} ({place})", rows.join(", "))));
    let socket = settings.socket.display();
    lines.push(("NOT APPLIED".into(), format!("no daemon here has applied it: none listens on {socket}")));
    pairs(&lines)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
