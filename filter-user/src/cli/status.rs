//! `sip-filter status`.

use filter_user::config::Settings;
use filter_user::control::Client;
use filter_user::dataplane::{AttachMode, InterfaceStatus, QueueStatus};
use filter_user::domain::{EntryList, Policy, display_utc};
use filter_user::kamailio::{self, State};
use filter_user::protocol::{NoParams, Status, method};
use filter_user::responder::Polled;
use filter_user::sync::Source;

use super::error::{Error, Outcome};
use super::output::{Line, Output, pairs, table};
use super::{entries, in_force, stats};

pub(super) fn status(settings: &Settings, output: Output) -> Result<Outcome, Error> {
    let received = Client::connect(&settings.socket)?.call::<method::Status>(&NoParams {})?;
    output.print(&received.json, || text(&received.reply))?;
    Ok(if received.reply.degraded { Outcome::Degraded } else { Outcome::Done })
}

fn text(status: &Status) -> String {
    format!(
        "{}\n{}\n{}",
        pairs(&lines(status)),
        table(&queues(&status.interfaces)),
        stats::text(&status.counters, None, false),
    )
}

fn lines(status: &Status) -> Vec<Line> {
    let Status { version, node, pid, started, .. } = status;
    let mut lines = in_force::lines(&status.in_force);
    if status.own_flag {
        lines.push(("host", format!("has its own row maint@{node}, which wins over maint")));
    }
    lines.extend(database(status));
    lines.push(("scope", entries::scope(&status.in_force.policy)));
    lines.push(("exempt", exempt(&status.in_force.policy)));
    lines.extend(status.kamailio.as_ref().map(|kamailio| ("kamailio", kamailio_value(kamailio))));
    let ports: Vec<String> = status.ports.iter().map(u16::to_string).collect();
    lines.push(("ports", format!("UDP {}", ports.join(", "))));
    let daemon = format!("sip-filter {version} on {node}, process {pid}, since {}", display_utc(*started));
    lines.push(("daemon", daemon));
    lines.push(("health", if status.degraded { "DEGRADED".into() } else { "well".into() }));
    lines
}

fn database(status: &Status) -> [Line; 2] {
    let database = &status.database;
    let source = match status.source {
        Source::Database => "",
        Source::StateFile => " (the policy in force is from the state file)",
        Source::Default => " (the policy in force is the default: nothing is known)",
        Source::Unknown => " (the origin of the policy in force is unknown to this version)",
    };
    let reach = if database.reachable { "is read" } else { "CANNOT BE READ" };
    let read = database.read.map_or_else(|| "never".to_owned(), |at| display_utc(at).to_string());
    [
        ("database", format!("{}, table {}", database.url, database.table)),
        ("", format!("{reach}, last change read {read}{source}")),
    ]
}

/// Returns the numbers of exemptions in force.
fn exempt(policy: &Policy) -> String {
    let bypass = entries::noun(EntryList::Bypass, policy.bypass.len());
    let emergency = entries::noun(EntryList::Emergency, policy.emergency.len());
    format!("{bypass}, {emergency}")
}

fn kamailio_value(kamailio: &kamailio::Status) -> String {
    let state = match kamailio.state {
        State::InStep => "in step",
        State::Away => "NOT IN STEP",
        State::Starting => "no request sent yet",
        State::Unknown => "in a state that is unknown to this version",
    };
    let flag = match kamailio.maintenance {
        Some(true) => ", has maintenance on",
        Some(false) => ", has maintenance off",
        None => "",
    };
    let (socket, htable) = (kamailio.socket.display(), &kamailio.htable);
    format!("{socket}, htable {htable}: {state} since {}{flag}", display_utc(kamailio.since))
}

/// Returns a row for each queue, below the head of the table.
fn queues(interfaces: &[InterfaceStatus]) -> Vec<Vec<String>> {
    const HEAD: [&str; 12] = [
        "INTERFACE",
        "MODE",
        "QUEUE",
        "SOCKET",
        "CPU",
        "BUSY POLL",
        "LEASE MS",
        "ANSWERED",
        "UNANSWERED",
        "LOST",
        "SEND ERRORS",
        "FRAMES",
    ];
    let rows = interfaces.iter().flat_map(|interface| interface.queues.iter().map(|queue| row(interface, queue)));
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return vec![vec!["no queues".into()]];
    }
    let head = HEAD.map(str::to_owned).to_vec();
    std::iter::once(head).chain(rows).collect()
}

fn row(interface: &InterfaceStatus, queue: &QueueStatus) -> Vec<String> {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let frames = queue.frames;
    vec![
        interface.display_name(),
        interface.mode.map_or("-", AttachMode::name).into(),
        queue.queue.to_string(),
        queue.socket.name().into(),
        or_dash(queue.cpu.map(|cpu| cpu.to_string())),
        or_dash(queue.busy_poll.map(busy_poll)),
        or_dash(queue.lease_remaining_ms.map(|ms| ms.to_string())),
        queue.answered.to_string(),
        queue.unanswered.values().sum::<u64>().to_string(),
        queue.lost.to_string(),
        queue.send_errors.to_string(),
        (frames.free + frames.receiving + frames.sending).to_string(),
    ]
}

fn busy_poll(Polled { us, napi_id }: Polled) -> String {
    if napi_id.is_some() { format!("{us} us") } else { format!("{us} us, no NAPI") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text;

    #[test]
    fn status_shows_policy_alarms_database_queues_and_counters() {
        let frames = json!({"free": 2048, "receiving": 2040, "sending": 8});
        let reply = json!({
            "policy": {"maintenance": true, "refusal": {"code": 503, "reason": "Maintenance", "retry_after": 30},
                "percent": 30, "methods": "INVITE,OPTIONS", "bypass": ["198.18.0.0/15"], "emergency": [],
                "scope": {"sources": ["192.0.2.0/24", "2001:db8::/32"], "destinations": ["198.18.0.2:5060"]}},
            "since": {"at": "2026-11-24T14:00:00Z", "who": "alice", "why": "upgrade"},
            "alarms": [{"kind": "duplicate", "key": "maint", "rows": 2, "since": "2026-11-24T14:01:00Z", "text": "2 rows"}],
            "degraded": true, "version": "0.1.0", "node": "sbc1", "own_flag": false, "pid": 42,
            "started": "2026-11-24T13:00:00Z", "source": "database", "ports": [5060, 5080],
            "kamailio": {"socket": "/run/k.sock", "htable": "config", "state": "in_step", "since": "2026-11-24T13:00:01Z",
                "maintenance": true, "error": null, "dbtable": null, "dbmode": null},
            "database": {"url": "sqlite:///a.db", "table": "htable_config", "reachable": true, "read": "2026-11-24T14:00:00Z"},
            "interfaces": [{"name": "eth0", "ifindex": 2, "mode": "native", "program": 17, "queues": [
                {"queue": 0, "socket": "copy", "cpu": 12, "busy_poll": {"us": 50, "napi_id": 8193}, "lease_remaining_ms": 950,
                 "answered": 1234, "unanswered": {"no_via": 1, "no_cseq": 2}, "lost": 0, "send_errors": 0, "frames": frames},
                {"queue": 1, "socket": "copy", "cpu": null, "busy_poll": null, "lease_remaining_ms": null,
                 "answered": 5, "unanswered": {}, "lost": 0, "send_errors": 4, "frames": frames}]}],
            "verdicts": {"off": 3, "redirected": 1240, "not_udp": 0}, "responder": {"answered": 1239},
        });
        let expected = "\
in force  maintenance on: 503 Maintenance, Retry-After 30 s, 30 % of new calls, methods INVITE,OPTIONS, scope: 2 sources, 1 destination
since     2026-11-24 14:00:00 UTC by alice, why: upgrade
ALARM     since 2026-11-24 14:01:00 UTC: 2 rows
database  sqlite:///a.db, table htable_config
          is read, last change read 2026-11-24 14:00:00 UTC
scope     2 sources, 1 destination
exempt    1 bypass prefix, no emergency numbers
kamailio  /run/k.sock, htable config: in step since 2026-11-24 13:00:01 UTC, has maintenance on
ports     UDP 5060, 5080
daemon    sip-filter 0.1.0 on sbc1, process 42, since 2026-11-24 13:00:00 UTC
health    DEGRADED

INTERFACE  MODE    QUEUE  SOCKET  CPU  BUSY POLL  LEASE MS  ANSWERED  UNANSWERED  LOST  SEND ERRORS  FRAMES
eth0       native      0  copy     12  50 us           950      1234           3     0            0    4096
eth0       native      1  copy      -  -                 -         5           0     0            4    4096

";
        let text = text(&serde_json::from_value(reply).unwrap());
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("redirected"), "{text}");
        assert!(!text.contains("not_udp"), "a counter that is zero is shown: {text}");
    }
}
