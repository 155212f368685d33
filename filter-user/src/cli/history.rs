//! `sip-filter history`.

use std::process::ExitCode;

use clap::Args;
use filter_user::config::Settings;
use filter_user::control::{Client, ClientError, HistoryParams};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::database;
use super::output::{Output, printable, table, time};

/// Options of `history`.
#[derive(Args)]
pub(super) struct HistoryOptions {
    /// How many events at most, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = HistoryParams::DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(HistoryParams::MOST)))]
    limit: u32,
}

/// An event, as an answer has it.
#[derive(Deserialize)]
struct Event {
    at: Timestamp,
    node: String,
    actor: String,
    via: String,
    action: String,
    target: Option<String>,
    why: Option<String>,
    written: Value,
}

/// From the daemon if there is one, else from the database.
pub(super) fn history(settings: &Settings, options: &HistoryOptions, output: Output) -> anyhow::Result<ExitCode> {
    let limit = options.limit;
    let answer = match Client::connect(&settings.socket) {
        Ok(mut client) => client.call("history", json!({"limit": limit}))?,
        Err(ClientError::NoDaemon(_)) => {
            let (events, _) = database::work(settings, async |store| store.history(limit).await)?;
            json!({"events": events})
        }
        Err(error) => return Err(error.into()),
    };
    output.print(&answer, || {
        let events: Vec<Event> = serde_json::from_value(answer["events"].clone())?;
        Ok(if events.is_empty() { "nothing was switched yet\n".into() } else { text(events) })
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text(events: Vec<Event>) -> String {
    let mut rows = vec![["AT", "WHAT", "HOST", "BY", "VIA", "FROM", "WRITTEN", "WHY"].map(str::to_owned).to_vec()];
    for event in events {
        rows.push(vec![
            time(event.at),
            printable(&event.action),
            event.target.as_deref().map_or_else(|| "all".to_owned(), printable),
            printable(&event.actor),
            printable(&event.via),
            printable(&event.node),
            written(&event.written),
            event.why.as_deref().map_or_else(|| "-".to_owned(), printable),
        ]);
    }
    table(&rows)
}

/// `maint=1 maint_code=480`, or the entries of an exemption.
fn written(written: &Value) -> String {
    let pairs = written.as_object().into_iter().flatten().map(|(key, value)| match value {
        Value::Array(entries) => entries.iter().map(database::text).collect::<Vec<_>>().join(" "),
        value => format!("{key}={}", database::text(value)),
    });
    let text = pairs.collect::<Vec<_>>().join(" ");
    if text.is_empty() { "-".into() } else { printable(&text) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text;

    #[test]
    fn an_event_is_a_line() {
        let events = json!([
            {"id": 2, "at": "2026-11-24T14:00:00Z", "node": "sbc1", "actor": "alice", "via": "daemon", "action": "on",
             "target": "sbc2", "why": "upgrade", "written": {"maint@sbc2": "1", "maint_code": "480"}},
            {"id": 1, "at": "2026-11-24T13:00:00Z", "node": "sbc1", "actor": "bob", "via": "database",
             "action": "bypass.add", "target": null, "why": null, "written": {"prefix": ["198.18.0.0/15", "2001:db8::/32"]}},
        ]);
        let expected = "\
AT                       WHAT        HOST  BY     VIA       FROM  WRITTEN                      WHY
2026-11-24 14:00:00 UTC  on          sbc2  alice  daemon    sbc1  maint@sbc2=1 maint_code=480  upgrade
2026-11-24 13:00:00 UTC  bypass.add  all   bob    database  sbc1  198.18.0.0/15 2001:db8::/32  -
";
        assert_eq!(text(serde_json::from_value(events).unwrap()), expected);
    }
}
