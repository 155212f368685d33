//! `sip-filter on` and `sip-filter off`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use filter_user::config::Settings;
use filter_user::control::{Client, ClientError, OffParams, OnParams};
use filter_user::domain::{Action, Methods, NodeName, Percent, ReasonPhrase, RetryAfter, StatusCode, Why};
use filter_user::store::rows;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::output::{InForce, Output, pairs};
use super::{FAILED, database, nodes, when};

/// Options of `on`.
#[derive(Args)]
pub(super) struct OnOptions {
    /// Status code of the answer, 400 to 699 [row maint_code, 503 without it]
    #[arg(long, value_name = "N")]
    code: Option<StatusCode>,

    /// Reason phrase of the answer, at most 128 bytes [row maint_reason, Maintenance without it]
    #[arg(long, value_name = "TEXT")]
    reason: Option<ReasonPhrase>,

    /// Retry-After of the answer in seconds, 0 (none) to 86400 [row maint_retry_after, 30 without it]
    #[arg(long, value_name = "S")]
    retry_after: Option<RetryAfter>,

    /// Share of new calls that is refused, in percent, 1 to 100 [row maint_percent, 100 without it]
    ///
    /// The others go to the proxy. A call that is sent again meets the same fate as the first time. It counts for
    /// INVITE only: of the other methods that --methods names all are refused.
    #[arg(long, value_name = "P")]
    percent: Option<Percent>,

    /// Which requests are refused, separated by commas [row maint_methods, INVITE without it]
    ///
    /// INVITE (new calls), and REGISTER, SUBSCRIBE, MESSAGE, PUBLISH and OPTIONS (so that the probes of upstreams mark
    /// the host down); a list without INVITE lets new calls pass. What belongs to calls that are up is never refused:
    /// CANCEL, ACK, BYE, PRACK, UPDATE, INFO, NOTIFY, REFER.
    #[arg(long, value_name = "M,M…")]
    methods: Option<Methods>,

    /// Maintenance ends by itself after this time, on all hosts: 30m, 90s, 2h, 1h30m [row maint_until]
    #[arg(long = "for", value_name = "TIME", value_parser = when::parse_for, conflicts_with = "until")]
    length: Option<Timestamp>,

    /// Maintenance ends by itself at this time, on all hosts: 22:30, '2026-11-25 06:00', 2026-11-25T06:00:00Z [row maint_until]
    ///
    /// Without a time zone it is this host's. Without --for and --until there is no planned end, whatever an earlier `on`
    /// has said; only with --node an end that was planned for all hosts stays.
    #[arg(long, value_name = "TIME", value_parser = when::parse_until)]
    until: Option<Timestamp>,

    #[command(flatten)]
    common: CommonOptions,
}

/// Options of `off`.
#[derive(Args)]
pub(super) struct OffOptions {
    #[command(flatten)]
    common: CommonOptions,
}

/// Options of both.
#[derive(Args)]
struct CommonOptions {
    /// Only this host, whatever is said to all of them [row maint@NAME, which wins over maint]
    ///
    /// It stays so until it is switched again with --node, or all hosts are with --all.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    node: Option<NodeName>,

    /// All hosts, also those that were switched with --node: their rows maint@NAME are taken away
    #[arg(long)]
    all: bool,

    /// Wait until each host that is alive has applied it, at most so long (10s without a time); names those that have not,
    /// with exit status 1
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "10s",
        value_parser = when::parse_wait)]
    wait: Option<Duration>,

    /// Why, for those who ask later; at most 1000 bytes
    #[arg(long, value_name = "TEXT")]
    why: Option<Why>,
}

pub(super) fn on(settings: &Settings, options: OnOptions, output: Output) -> anyhow::Result<ExitCode> {
    let OnOptions { code, reason, retry_after, percent, methods, length, until, common } = options;
    let CommonOptions { node, all, wait, why } = common;
    let until = length.or(until);
    let params = OnParams { code, reason, retry_after, percent, methods, until, node, all, why };
    let wire = serde_json::to_value(&params)?;
    switch(settings, Action::On, params, wire, wait, output)
}

pub(super) fn off(settings: &Settings, options: OffOptions, output: Output) -> anyhow::Result<ExitCode> {
    let CommonOptions { node, all, wait, why } = options.common;
    let params = OffParams { node, all, why };
    let wire = serde_json::to_value(&params)?;
    switch(settings, Action::Off, params.into(), wire, wait, output)
}

/// Through the daemon if there is one, else into the database.
fn switch(
    settings: &Settings,
    action: Action,
    params: OnParams,
    wire: Value,
    patience: Option<Duration>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let node = params.node.clone();
    let (mut answer, mut text) = match Client::connect(&settings.socket) {
        Ok(mut client) => {
            let mut answer = client.call(action.name(), wire)?;
            let in_force: InForce = serde_json::from_value(answer.clone())?;
            answer["applied"] = true.into();
            (answer, pairs(&in_force.lines()))
        }
        Err(ClientError::NoDaemon(_)) => {
            let answer = write(settings, action, params)?;
            let text = not_applied(settings, &answer);
            (answer, text)
        }
        Err(error) => return Err(error.into()),
    };
    let mut code = ExitCode::SUCCESS;
    if let Some(patience) = patience {
        let event = answer["event"].as_i64().unwrap_or(0);
        let late = nodes::wait(settings, event, node.as_ref(), patience)?;
        text += &nodes::waited(&late);
        if !late.is_empty() {
            code = ExitCode::from(FAILED);
        }
        answer["late"] = json!(late);
    }
    output.print(&answer, || Ok(text))?;
    Ok(code)
}

fn write(settings: &Settings, action: Action, params: OnParams) -> anyhow::Result<Value> {
    let origin = database::origin(settings, params.why.clone());
    let switch = params.switch(action, origin);
    let rows: Map<String, Value> =
        rows::to_write(&switch).into_iter().map(|(key, value)| (key, value.into())).collect();
    let (event, steps) = database::work(settings, async |store| store.switch(&switch).await)?;
    Ok(json!({
        "applied": false,
        "event": event,
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
