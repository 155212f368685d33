//! The daemon, if one answers: what it has to complain about itself.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::Finding;
use crate::control::{Client, ClientError};

/// What asking for a daemon has come to.
pub(super) struct Daemon(Result<Status, ClientError>);

/// Of the answer to `status`, what matters here.
#[derive(Debug, Deserialize)]
struct Status {
    degraded: bool,
    version: String,
    pid: u32,
    alarms: Vec<Alarm>,
    interfaces: Vec<Interface>,
}

#[derive(Debug, Deserialize)]
struct Alarm {
    since: jiff::Timestamp,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Interface {
    program: Option<u32>,
}

impl Daemon {
    /// Asks on `socket`.
    pub(super) fn ask(socket: &Path) -> Self {
        let ask = || {
            let answer = Client::connect(socket)?.call("status", json!({}))?;
            serde_json::from_value(answer)
                .map_err(|error| ClientError::Protocol { path: socket.into(), problem: error.to_string() })
        };
        Self(ask())
    }

    /// Whether it has answered.
    pub(super) fn answers(&self) -> bool {
        self.0.is_ok()
    }

    /// Whether the XDP program of this id is its.
    pub(super) fn has(&self, program: u32) -> bool {
        let interfaces = self.0.as_ref().map(|status| status.interfaces.as_slice()).unwrap_or_default();
        interfaces.iter().any(|interface| interface.program == Some(program))
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        match &self.0 {
            Ok(status) => status.findings(),
            Err(error) => vec![no_answer(error)],
        }
    }
}

fn no_answer(error: &ClientError) -> Finding {
    let why = "without a daemon nothing is refused";
    let mend = match error {
        ClientError::NoDaemon(_) => "start it, as with `systemctl start sip-filter`, when the rest is well",
        ClientError::NotAllowed(_) => "ask again as root",
        _ => "`journalctl -u sip-filter` may say more; restart it, as with `systemctl restart sip-filter`",
    };
    Finding::warning("daemon", error.to_string(), why, mend)
}

impl Status {
    fn findings(&self) -> Vec<Finding> {
        let Self { version, pid, .. } = self;
        let mut findings: Vec<Finding> = self.alarms.iter().map(Alarm::finding).collect();
        if self.degraded && findings.is_empty() {
            findings.push(Finding::warning(
                "lease",
                "a queue has no lease although maintenance is on",
                "new calls on it reach the proxy: its responder makes no progress",
                "`sip-filter status` shows which; restart the daemon if it stays so",
            ));
        }
        let answers = format!("a daemon answers: sip-filter {version}, process {pid}");
        findings.insert(0, Finding::ok("daemon", answers, "without a daemon nothing is refused"));
        findings
    }
}

impl Alarm {
    fn finding(&self) -> Finding {
        let since = self.since.strftime("%Y-%m-%d %H:%M:%S UTC");
        Finding::warning(
            "alarm",
            format!("the daemon has an alarm: {}", self.text),
            format!("since {since} something keeps what was asked for from being in force as it stands"),
            "mend what it names; the alarm ends by itself then",
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Status;
    use crate::doctor::Level;

    fn levels(degraded: bool, alarms: serde_json::Value) -> Vec<(&'static str, Level)> {
        let answer = json!({"degraded": degraded, "version": "0.1.0", "pid": 42, "alarms": alarms, "interfaces": []});
        let status: Status = serde_json::from_value(answer).unwrap();
        status.findings().iter().map(|finding| (finding.check, finding.level)).collect()
    }

    #[test]
    fn what_the_daemon_complains_about_is_told() {
        assert_eq!(levels(false, json!([])), [("daemon", Level::Ok)]);
        assert_eq!(levels(true, json!([])), [("daemon", Level::Ok), ("lease", Level::Warning)]);
        let alarm = json!([{"kind": "tag_changed", "since": "2026-11-24T14:01:00Z", "text": "2 rows"}]);
        assert_eq!(levels(true, alarm), [("daemon", Level::Ok), ("alarm", Level::Warning)]);
    }
}
