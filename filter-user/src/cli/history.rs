//! `sip-filter history`.

use filter_user::config::Settings;
use filter_user::domain::{Event, display_utc};
use filter_user::protocol::History;
use serde_json::Value;

use super::backend::Backend;
use super::error::{Error, Outcome};
use super::output::{Output, printable, table};

pub(super) fn history(settings: &Settings, options: History, output: Output) -> Result<Outcome, Error> {
    let received = Backend::find(settings)?.history(options)?;
    output.print(&received.json, || text(&received.reply.events))?;
    Ok(Outcome::Done)
}

fn text(events: &[Event]) -> String {
    if events.is_empty() {
        return "nothing was switched yet\n".into();
    }
    let head = ["AT", "WHAT", "HOST", "BY", "VIA", "FROM", "WRITTEN", "WHY"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    rows.extend(events.iter().map(row));
    table(&rows)
}

fn row(event: &Event) -> Vec<String> {
    vec![
        display_utc(event.at).to_string(),
        printable(&event.action),
        event.target.as_deref().map_or_else(|| "all".to_owned(), printable),
        printable(&event.actor),
        printable(&event.via),
        printable(&event.node),
        written(&event.written),
        event.why.as_deref().map_or_else(|| "-".to_owned(), printable),
    ]
}

/// Formats what was written: `maint=1 maint_code=480`, or the entries of a list, those of the scope as in its list:
/// `from 198.18.0.0/15`.
fn written(written: &Value) -> String {
    let pairs = written.as_object().into_iter().flatten().map(|(key, value)| match value {
        Value::Array(entries) => {
            let entries = entries.iter().map(unquoted).collect::<Vec<_>>().join(" ");
            match key.as_str() {
                "source" => format!("from {entries}"),
                "destination" => format!("to {entries}"),
                _ => entries,
            }
        }
        value => format!("{key}={}", unquoted(value)),
    });
    let text = pairs.collect::<Vec<_>>().join(" ");
    if text.is_empty() { "-".into() } else { printable(&text) }
}

/// Returns a string without its quotes, and anything else as JSON.
fn unquoted(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use filter_user::protocol::Events;
    use serde_json::json;

    use super::text;

    #[test]
    fn history_has_a_line_for_each_event() {
        let reply = json!({"events": [
            {"id": 4, "at": "2026-11-24T16:00:00Z", "node": "sbc1", "actor": "bob", "via": "daemon",
             "action": "scope.remove", "target": null, "why": null, "written": {"destination": ["[2001:db8::2]:5060"]}},
            {"id": 3, "at": "2026-11-24T15:00:00Z", "node": "sbc1", "actor": "bob", "via": "daemon",
             "action": "scope.add", "target": null, "why": "trunk A", "written": {"source": ["192.0.2.0/24", "2001:db8::/32"]}},
            {"id": 2, "at": "2026-11-24T14:00:00Z", "node": "sbc1", "actor": "alice", "via": "daemon", "action": "on",
             "target": "sbc2", "why": "upgrade", "written": {"maint@sbc2": "1", "maint_code": "480"}},
            {"id": 1, "at": "2026-11-24T13:00:00Z", "node": "sbc1", "actor": "bob", "via": "database",
             "action": "bypass.add", "target": null, "why": null, "written": {"prefix": ["198.18.0.0/15", "2001:db8::/32"]}},
        ]});
        let expected = "\
AT                       WHAT          HOST  BY     VIA       FROM  WRITTEN                          WHY
2026-11-24 16:00:00 UTC  scope.remove  all   bob    daemon    sbc1  to [2001:db8::2]:5060            -
2026-11-24 15:00:00 UTC  scope.add     all   bob    daemon    sbc1  from 192.0.2.0/24 2001:db8::/32  trunk A
2026-11-24 14:00:00 UTC  on            sbc2  alice  daemon    sbc1  maint@sbc2=1 maint_code=480      upgrade
2026-11-24 13:00:00 UTC  bypass.add    all   bob    database  sbc1  198.18.0.0/15 2001:db8::/32      -
";
        assert_eq!(text(&serde_json::from_value::<Events>(reply).unwrap().events), expected);
    }
}
