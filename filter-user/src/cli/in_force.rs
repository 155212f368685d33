//! The policy in force and the alarms, as lines for people.

use filter_user::domain::{Since, display_utc};
use filter_user::protocol::{Alarm, InForce};

use super::output::Line;

/// Returns the lines of the policy, of the last switch and of the alarms.
pub(super) fn lines(InForce { policy, since, alarms }: &InForce) -> Vec<Line> {
    let mut lines = vec![("in force", policy.to_string())];
    // Rows that an earlier `on` left behind would surprise whoever switches on next.
    if let Some(limits) = policy.limits().filter(|_| !policy.maintenance) {
        let scope = if policy.scope.is_some() { "; sip-filter scope list" } else { "" };
        lines.push(("when on", format!("{limits} (rows maint_percent and maint_methods{scope})")));
    }
    lines.extend(since.as_ref().map(since_line));
    lines.extend(alarms.iter().map(alarm_line));
    lines
}

/// Returns the line of an alarm.
pub(super) fn alarm_line(alarm: &Alarm) -> Line {
    ("ALARM", format!("since {}: {}", display_utc(alarm.since), alarm.text))
}

fn since_line(Since { at, who, why }: &Since) -> Line {
    let who = who.as_deref().map_or_else(|| "through the database".to_owned(), |who| format!("by {who}"));
    let why = why.as_deref().map_or(String::new(), |why| format!(", why: {why}"));
    ("since", format!("{} {who}{why}", display_utc(*at)))
}

#[cfg(test)]
mod tests {
    use filter_user::protocol::InForce;
    use serde_json::{Value, json};

    use super::super::output::pairs;
    use super::lines;

    #[test]
    fn share_and_scope_that_the_next_on_will_use_are_shown_while_maintenance_is_off() {
        let lines = |percent: u8, scope: Value| {
            let refusal = json!({"code": 503, "reason": "Maintenance", "retry_after": 30});
            let policy = json!({"maintenance": false, "refusal": refusal, "percent": percent, "scope": scope});
            let reply = json!({"policy": policy, "since": null, "alarms": []});
            pairs(&lines(&serde_json::from_value::<InForce>(reply).unwrap()))
        };
        assert_eq!(lines(100, Value::Null), "in force  maintenance off\n");
        let left = lines(30, Value::Null);
        assert!(left.ends_with("when on   30 % of new calls (rows maint_percent and maint_methods)\n"), "{left}");
        let left = lines(30, json!({"sources": ["192.0.2.0/24"], "destinations": []}));
        assert!(left.contains("30 % of new calls, scope: 1 source (") && left.contains("sip-filter scope"), "{left}");
    }
}
