//! What the commands print: JSON on one line, or aligned text.

use std::io::{self, Write};

use filter_user::domain::Policy;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// Where and how a command prints.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints `value` as JSON, or what `text` makes of it.
    pub(super) fn print(self, value: &Value, text: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<()> {
        let text = if self.json { value.to_string() } else { text()? };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", text.trim_end())?;
        stdout.flush()?;
        Ok(())
    }
}

/// What `on`, `off`, `reload` and `status` have in common in their answers.
#[derive(Deserialize)]
pub(super) struct InForce {
    pub(super) policy: Policy,
    pub(super) since: Option<Since>,
    pub(super) alarms: Vec<AlarmText>,
}

/// When it was switched, and who did it.
#[derive(Deserialize)]
pub(super) struct Since {
    at: Timestamp,
    who: Option<String>,
    why: Option<String>,
}

/// What an alarm says to a person.
#[derive(Deserialize)]
pub(super) struct AlarmText {
    since: Timestamp,
    text: String,
}

impl AlarmText {
    /// The line for a person.
    pub(super) fn line(&self) -> (String, String) {
        ("ALARM".into(), format!("since {}: {}", time(self.since), self.text))
    }
}

impl InForce {
    /// The lines for a person.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![("in force".to_owned(), self.policy.to_string())];
        // Rows that an earlier `on` has left: who switches on next would not expect them.
        if let Some(scope) = self.policy.limits().filter(|_| !self.policy.maintenance) {
            lines.push(("when on".into(), format!("{scope} (rows maint_percent and maint_methods)")));
        }
        if let Some(Since { at, who, why }) = &self.since {
            let who = who.as_deref().map_or("through the database".into(), |who| format!("by {who}"));
            let why = why.as_deref().map_or(String::new(), |why| format!(", why: {why}"));
            lines.push(("since".into(), format!("{} {who}{why}", time(*at))));
        }
        lines.extend(self.alarms.iter().map(AlarmText::line));
        lines
    }
}

/// A time as the commands show it.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `no things`, `1 thing`, `2 things`.
pub(super) fn counted(count: usize, one: &str, several: &str) -> String {
    match count {
        0 => format!("no {several}"),
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
}

/// A text that others have written, for a terminal: control characters do nothing there.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// `name  value`, the values under each other.
pub(super) fn pairs(lines: &[(String, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// Rows of cells, each column as wide as its widest cell, numbers to the right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> =
        (0..columns).map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let number = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit()) || cell == "-";
    let right: Vec<bool> = (0..columns).map(|column| cells(column).skip(1).all(|cell| number(cell))).collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = widths[column];
                if right[column] { format!("{cell:>width$}") } else { format!("{cell:width$}") }
            })
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{InForce, pairs, table};

    #[test]
    fn a_share_that_is_left_over_is_told_while_maintenance_is_off() {
        let lines = |percent: u8| {
            let refusal = json!({"code": 503, "reason": "Maintenance", "retry_after": 30});
            let policy = json!({"maintenance": false, "refusal": refusal, "percent": percent});
            let answer = json!({"policy": policy, "since": null, "alarms": []});
            pairs(&serde_json::from_value::<InForce>(answer).unwrap().lines())
        };
        assert_eq!(lines(100), "in force  maintenance off\n");
        let left = lines(30);
        assert!(left.ends_with("when on   30 % of new calls (rows maint_percent and maint_methods)\n"), "{left}");
    }

    #[test]
    fn columns_are_aligned_and_numbers_to_the_right() {
        let rows = [["NAME", "COUNT", "WHAT"], ["off", "12345", "ä"], ["redirected", "7", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "NAME        COUNT  WHAT\noff         12345  ä\nredirected      7\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn values_stand_under_each_other() {
        assert_eq!(pairs(&[("a".into(), "1".into()), ("long".into(), "2".into())]), "a     1\nlong  2\n");
    }
}
