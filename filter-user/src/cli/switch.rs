//! `sip-filter on` and `sip-filter off`.

use std::process::ExitCode;

use clap::Args;
use filter_user::config::Settings;
use filter_user::control::{Client, ClientError, OffParams, OnParams};
use filter_user::policy::{Methods, Policy, Refusal};
use filter_user::store::{Action, Origin, Switch};
use serde_json::{Map, Value, json};

use super::database;
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

    /// Share of new calls that is refused, in percent, 1 to 100 [row maint_percent, 100 without it]
    ///
    /// The others go to the proxy. A call that is sent again meets the same fate as the first time. It counts for
    /// INVITE only: of the other methods that --methods names all are refused.
    #[arg(long, value_name = "P", value_parser = Policy::parse_percent)]
    percent: Option<u8>,

    /// Which requests are refused, separated by commas [row maint_methods, INVITE without it]
    ///
    /// INVITE (new calls), and REGISTER, SUBSCRIBE, MESSAGE, PUBLISH and OPTIONS (so that the probes of upstreams mark
    /// the host down); a list without INVITE lets new calls pass. What belongs to calls that are up is never refused:
    /// CANCEL, ACK, BYE, PRACK, UPDATE, INFO, NOTIFY, REFER.
    #[arg(long, value_name = "M,M…")]
    methods: Option<Methods>,

    /// Why, for those who ask later; at most 1000 bytes
    #[arg(long, value_name = "TEXT", value_parser = Origin::parse_why)]
    why: Option<String>,
}

/// Options of `off`.
#[derive(Args)]
pub(super) struct OffOptions {
    /// Why, for those who ask later; at most 1000 bytes
    #[arg(long, value_name = "TEXT", value_parser = Origin::parse_why)]
    why: Option<String>,
}

pub(super) fn on(settings: &Settings, options: OnOptions, output: Output) -> anyhow::Result<ExitCode> {
    let OnOptions { code, reason, retry_after, percent, methods, why } = options;
    let params = OnParams { code, reason, retry_after, percent, methods, why };
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

fn write(settings: &Settings, action: Action, params: OnParams) -> anyhow::Result<Value> {
    let OnParams { code, reason, retry_after, percent, methods, why } = params;
    let origin = database::origin(why);
    let switch = Switch { action, code, reason, retry_after, percent, methods, origin };
    let rows: Map<String, Value> =
        switch.rows().into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let ((), steps) = database::work(settings, async |store| store.switch(&switch).await)?;
    Ok(json!({
        "applied": false,
        "database": settings.database.display().to_string(),
        "table": settings.table.as_str(),
        "written": rows,
        "schema": steps,
    }))
}

fn not_applied(settings: &Settings, answer: &Value) -> String {
    let mut lines = database::schema_lines(answer);
    let rows = answer["written"].as_object().into_iter().flatten();
    let rows: Vec<String> = rows.map(|(key, value)| format!("{key} = {}", database::text(value))).collect();
    let place = format!("{}, table {}", settings.database.display(), settings.table);
    lines.push(("written".into(), format!("{} ({place})", rows.join(", "))));
    lines.push(database::not_applied(settings));
    pairs(&lines)
}
