//! `sip-filter status`.

use std::process::ExitCode;

use filter_user::config::Settings;
use filter_user::control::Client;
use filter_user::domain::Policy;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::output::{InForce, Output, counted, pairs, table, time};
use super::{DEGRADED, stats};

/// The answer to `status`, as far as it is shown to people.
#[derive(Deserialize)]
struct Status {
    #[serde(flatten)]
    in_force: InForce,
    degraded: bool,
    source: String,
    version: String,
    node: String,
    #[serde(default)]
    own_flag: bool,
    pid: u32,
    started: Timestamp,
    ports: Vec<u16>,
    database: Database,
    interfaces: Vec<Map<String, Value>>,
    kamailio: Option<Kamailio>,
}

#[derive(Deserialize)]
struct Kamailio {
    socket: String,
    htable: String,
    state: String,
    since: Timestamp,
    maintenance: Option<bool>,
}

impl Kamailio {
    fn line(&self) -> String {
        let state = match self.state.as_str() {
            "in_step" => "in step",
            "away" => "CANNOT BE TOLD",
            _ => "not asked yet",
        };
        let has = match self.maintenance {
            Some(true) => ", has maintenance on",
            Some(false) => ", has maintenance off",
            None => "",
        };
        format!("{}, htable {}: {state} since {}{has}", self.socket, self.htable, time(self.since))
    }
}

#[derive(Deserialize)]
struct Database {
    url: String,
    table: String,
    reachable: bool,
    read: Option<Timestamp>,
}

pub(super) fn status(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    let answer = Client::connect(&settings.socket)?.call("status", json!({}))?;
    let degraded = answer["degraded"] != Value::Bool(false);
    output.print(&answer, || text(&answer))?;
    Ok(if degraded { ExitCode::from(DEGRADED) } else { ExitCode::SUCCESS })
}

fn text(answer: &Value) -> anyhow::Result<String> {
    let status: Status = serde_json::from_value(answer.clone())?;
    let mut lines = status.in_force.lines();
    if status.own_flag {
        lines.push(("host".into(), format!("by its own row maint@{}, whatever maint says", status.node)));
    }
    let source = match status.source.as_str() {
        "database" => "",
        "state_file" => " (in force is what the state file says)",
        _ => " (in force is the default: nothing is known)",
    };
    let reach = if status.database.reachable { "is read" } else { "CANNOT BE READ" };
    let read = status.database.read.map_or("never".into(), time);
    lines.push(("database".into(), format!("{}, table {}", status.database.url, status.database.table)));
    lines.push(("".into(), format!("{reach}, last change read {read}{source}")));
    lines.push(("exempt".into(), exempt(&status.in_force.policy)));
    if let Some(kamailio) = &status.kamailio {
        lines.push(("kamailio".into(), kamailio.line()));
    }
    let ports: Vec<String> = status.ports.iter().map(u16::to_string).collect();
    lines.push(("ports".into(), format!("UDP {}", ports.join(", "))));
    let Status { version, node, pid, started, .. } = &status;
    lines.push(("daemon".into(), format!("sip-filter {version} on {node}, process {pid}, since {}", time(*started))));
    lines.push(("health".into(), if status.degraded { "DEGRADED".into() } else { "well".to_owned() }));
    Ok(format!(
        "{}\n{}\n{}",
        pairs(&lines),
        table(&queues(&status.interfaces)),
        stats::text(answer, None, stats::Show::Counted),
    ))
}

/// How many exemptions are in force.
fn exempt(policy: &Policy) -> String {
    let bypass = counted(policy.bypass.len(), "bypass prefix", "bypass prefixes");
    let emergency = counted(policy.emergency.len(), "emergency number", "emergency numbers");
    format!("{bypass}, {emergency}")
}

/// A line for each queue. The first columns are always the same, the others are the queue's counters.
fn queues(interfaces: &[Map<String, Value>]) -> Vec<Vec<String>> {
    const FIRST: [&str; 5] = ["queue", "socket", "cpu", "busy_poll", "lease_remaining_ms"];
    let of = |interface: &Map<String, Value>| -> Vec<Map<String, Value>> {
        let queues = interface.get("queues").and_then(Value::as_array).into_iter().flatten();
        queues.filter_map(Value::as_object).cloned().collect()
    };
    let Some(first) = interfaces.iter().find_map(|interface| of(interface).into_iter().next()) else {
        return vec![vec!["no queues".into()]];
    };
    let counters: Vec<&String> = first.keys().filter(|key| !FIRST.contains(&key.as_str())).collect();

    let mut head: Vec<String> =
        ["INTERFACE", "MODE", "QUEUE", "SOCKET", "CPU", "BUSY POLL", "LEASE MS"].map(str::to_owned).into();
    head.extend(counters.iter().map(|key| key.replace('_', " ").to_uppercase()));
    let mut rows = vec![head];
    for interface in interfaces {
        for queue in of(interface) {
            let mut row = vec![cell(interface.get("name")), cell(interface.get("mode"))];
            row.extend(FIRST.iter().map(|key| match *key {
                "busy_poll" => polling(queue.get("busy_poll")),
                key => cell(queue.get(key)),
            }));
            row.extend(counters.iter().map(|key| cell(queue.get(*key))));
            rows.push(row);
        }
    }
    rows
}

/// How a queue's driver is polled.
fn polling(value: Option<&Value>) -> String {
    match value {
        Some(Value::Object(polled)) if polled.get("napi_id").is_some_and(Value::is_u64) => {
            format!("{} us", cell(polled.get("us")))
        }
        Some(Value::Object(polled)) => format!("{} us, no NAPI", cell(polled.get("us"))),
        other => cell(other),
    }
}

/// A value in a table; of counters by reason, their sum.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(reasons)) => reasons.values().filter_map(Value::as_u64).sum::<u64>().to_string(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text;

    #[test]
    fn a_status_is_readable() {
        let answer = json!({
            "policy": {"maintenance": true, "refusal": {"code": 503, "reason": "Maintenance", "retry_after": 30},
                "percent": 30, "methods": "INVITE,OPTIONS", "bypass": ["198.18.0.0/15"], "emergency": []},
            "since": {"at": "2026-11-24T14:00:00Z", "who": "alice", "why": "upgrade"},
            "alarms": [{"kind": "duplicate", "key": "maint", "rows": 2, "since": "2026-11-24T14:01:00Z", "text": "2 rows"}],
            "degraded": true, "version": "0.1.0", "node": "sbc1", "pid": 42, "started": "2026-11-24T13:00:00Z",
            "source": "database", "ports": [5060, 5080],
            "kamailio": {"socket": "/run/k.sock", "htable": "config", "state": "in_step", "since": "2026-11-24T13:00:01Z", "maintenance": true},
            "database": {"url": "sqlite:///a.db", "table": "htable_config", "reachable": true, "read": "2026-11-24T14:00:00Z"},
            "interfaces": [{"name": "eth0", "ifindex": 2, "mode": "native", "program_id": 17, "queues": [
                {"queue": 0, "socket": "copy", "cpu": 12, "busy_poll": {"us": 50, "napi_id": 8193}, "lease_remaining_ms": 950, "answered": 1234, "refused": {"no_via": 1, "no_cseq": 2}},
                {"queue": 1, "socket": "copy", "cpu": null, "busy_poll": null, "lease_remaining_ms": null, "answered": 5, "refused": {}}]}],
            "verdicts": {"off": 3, "redirected": 1240, "not_udp": 0}, "responder": {"answered": 1239},
        });
        let expected = "\
in force  maintenance on: 503 Maintenance, Retry-After 30 s, 30 % of new calls, methods INVITE,OPTIONS
since     2026-11-24 14:00:00 UTC by alice, why: upgrade
ALARM     since 2026-11-24 14:01:00 UTC: 2 rows
database  sqlite:///a.db, table htable_config
          is read, last change read 2026-11-24 14:00:00 UTC
exempt    1 bypass prefix, no emergency numbers
kamailio  /run/k.sock, htable config: in step since 2026-11-24 13:00:01 UTC, has maintenance on
ports     UDP 5060, 5080
daemon    sip-filter 0.1.0 on sbc1, process 42, since 2026-11-24 13:00:00 UTC
health    DEGRADED

INTERFACE  MODE    QUEUE  SOCKET  CPU  BUSY POLL  LEASE MS  ANSWERED  REFUSED
eth0       native      0  copy     12  50 us           950      1234        3
eth0       native      1  copy      -  -                 -         5        0

";
        let text = text(&answer).unwrap();
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("redirected"), "{text}");
        assert!(!text.contains("not_udp"), "what never happened is left out: {text}");
    }
}
