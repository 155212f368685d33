//! Checks of the daemon, if one runs: its alarms and its leases.

use std::path::Path;

use super::Finding;
use crate::control::{Client, ClientError};
use crate::domain::display_utc;
use crate::protocol::{Alarm, NoParams, Status, method};

/// The state of the daemon, or the reason why it is unknown.
pub(super) struct Daemon(Result<Status, ClientError>);

impl Daemon {
    /// Queries the daemon on `socket`.
    pub(super) fn query(socket: &Path) -> Self {
        let query = || Client::connect(socket)?.call::<method::Status>(&NoParams {});
        Self(query().map(|received| received.reply))
    }

    /// Returns whether a daemon runs.
    pub(super) fn is_running(&self) -> bool {
        // One that sends anything else than a status runs too.
        matches!(self.0, Ok(_) | Err(ClientError::Protocol { .. } | ClientError::Rejected(_)))
    }

    /// Returns whether the XDP program with this id belongs to the daemon.
    pub(super) fn owns_program(&self, program: u32) -> bool {
        let interfaces = self.0.as_ref().map(|status| status.interfaces.as_slice()).unwrap_or_default();
        interfaces.iter().any(|interface| interface.program == Some(program))
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        match &self.0 {
            Ok(status) => findings(status),
            Err(error) => vec![unknown(error)],
        }
    }
}

const WHY: &str = "without a daemon no call is refused";

fn unknown(error: &ClientError) -> Finding {
    let fix = match error {
        ClientError::NoDaemon(_) => "once the other findings are fixed, start it: `systemctl start sip-filter`",
        ClientError::PermissionDenied(_) => "run `sip-filter doctor` as root",
        _ => "`journalctl -u sip-filter` may show the reason; restart it: `systemctl restart sip-filter`",
    };
    Finding::warning("daemon", error.to_string(), WHY, fix)
}

fn findings(status: &Status) -> Vec<Finding> {
    let Status { version, pid, .. } = status;
    let mut findings = vec![Finding::ok("daemon", format!("a daemon runs: sip-filter {version}, process {pid}"), WHY)];
    findings.extend(status.in_force.alarms.iter().map(alarm));
    if status.degraded && status.in_force.alarms.is_empty() {
        findings.push(Finding::warning(
            "lease",
            "a queue has no lease although maintenance is on",
            "its responder makes no progress, and its new calls reach the proxy",
            "`sip-filter status` shows which queue; if it does not recover, restart the daemon",
        ));
    }
    findings
}

fn alarm(alarm: &Alarm) -> Finding {
    Finding::warning(
        "alarm",
        format!("the daemon has an alarm: {}", alarm.text),
        format!("it has been raised since {}: a part of sip-filter does not work", display_utc(alarm.since)),
        "fix what the alarm names; it then ends",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::findings;
    use crate::doctor::Level;
    use crate::protocol::Status;

    fn levels(degraded: bool, alarms: Value) -> Vec<(&'static str, Level)> {
        let refusal = json!({"code": 503, "reason": "Maintenance", "retry_after": 30});
        let status: Status = serde_json::from_value(json!({
            "policy": {"maintenance": true, "refusal": refusal},
            "since": null,
            "alarms": alarms,
            "degraded": degraded,
            "source": "database",
            "own_flag": false,
            "kamailio": null,
            "database": {"url": "sqlite:///a.db", "table": "htable_config", "reachable": true, "read": null},
            "interfaces": [],
            "verdicts": {},
            "responder": {},
            "ports": [5060],
            "version": "0.1.0",
            "node": "sbc1",
            "pid": 42,
            "started": "2026-11-24T13:00:00Z",
        }))
        .unwrap();
        findings(&status).iter().map(|finding| (finding.check, finding.level)).collect()
    }

    #[test]
    fn alarms_and_missing_leases_of_the_daemon_are_warnings() {
        assert_eq!(levels(false, json!([])), [("daemon", Level::Ok)]);
        assert_eq!(levels(true, json!([])), [("daemon", Level::Ok), ("lease", Level::Warning)]);
        let alarm = json!([{"kind": "tag_changed", "since": "2026-11-24T14:01:00Z", "text": "2 rows"}]);
        assert_eq!(levels(true, alarm), [("daemon", Level::Ok), ("alarm", Level::Warning)]);
    }
}
