//! `sip-filter stats`: the counters.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use filter_common::verdict::Verdict;
use filter_user::config::Settings;
use filter_user::control::Client;
use serde_json::{Value, json};

use super::output::{Output, table};

/// Options of `stats`.
#[derive(Args)]
pub(super) struct StatsOptions {
    /// Show them anew each second, with how many there were in it, until interrupted
    ///
    /// With --json: one object a line, each second.
    #[arg(long)]
    watch: bool,
}

const INTERVAL: Duration = Duration::from_secs(1);

/// Which counters are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// All.
    All,
    /// Those above zero.
    Counted,
}

pub(super) fn stats(settings: &Settings, options: &StatsOptions, output: Output) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&settings.socket)?;
    let mut answer = client.call("stats", json!({}))?;
    output.print(&answer, || Ok(text(&answer, None, Show::All)))?;
    if !options.watch {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        let before = (answer, Instant::now());
        sleep(INTERVAL);
        answer = client.call("stats", json!({}))?;
        output.print(&answer, || {
            let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "\n" };
            Ok(format!("{clear}{}", text(&answer, Some(&before), Show::All)))
        })?;
    }
}

/// The counters of an answer as a table, with rates if there is an earlier one.
pub(super) fn text(answer: &Value, before: Option<&(Value, Instant)>, show: Show) -> String {
    let mut head = vec!["PACKETS".to_owned(), "COUNT".into()];
    head.extend(before.map(|_| "PER SECOND".into()));
    head.push("MEANING".into());
    let mut rows = vec![head];
    for (name, meaning) in counters(answer) {
        let count = answer.pointer(&name).and_then(Value::as_u64).unwrap_or(0);
        if show == Show::Counted && count == 0 {
            continue;
        }
        let mut row = vec![label(&name), count.to_string()];
        row.extend(before.map(|(value, at)| {
            let earlier = value.pointer(&name).and_then(Value::as_u64).unwrap_or(0);
            format!("{:.0}", count.saturating_sub(earlier) as f64 / at.elapsed().as_secs_f64())
        }));
        row.push(meaning.into());
        rows.push(row);
    }
    table(&rows)
}

/// The counters of an answer by JSON pointer, the kernel's in the order of its decisions, and what they mean.
fn counters(answer: &Value) -> Vec<(String, &'static str)> {
    let names = |group: &str| -> Vec<String> {
        answer[group].as_object().into_iter().flatten().map(|(name, _)| format!("/{group}/{name}")).collect()
    };
    let known = Verdict::ALL.iter().map(|verdict| (format!("/verdicts/{}", verdict.name()), verdict.meaning()));
    let mut counters: Vec<_> = known.filter(|(name, _)| answer.pointer(name).is_some()).collect();
    // A daemon of a later version may have more.
    let others: Vec<_> =
        names("verdicts").into_iter().filter(|name| !counters.iter().any(|(n, _)| n == name)).collect();
    counters.extend(others.into_iter().chain(names("responder")).map(|name| (name, "")));
    counters
}

/// `/verdicts/off` is shown as `off`, `/responder/answered` as `responder: answered`.
fn label(pointer: &str) -> String {
    match pointer.strip_prefix("/responder/") {
        Some(name) => format!("responder: {name}"),
        None => pointer.trim_start_matches("/verdicts/").into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::{Show, text};

    #[test]
    fn counters_come_in_the_order_of_the_decisions_with_their_rates() {
        let before = (
            json!({"verdicts": {"off": 10, "redirected": 0}, "responder": {"answered": 0}}),
            Instant::now().checked_sub(Duration::from_secs(2)).unwrap(),
        );
        let now = json!({"verdicts": {"redirected": 2000, "off": 10, "brand_new": 4}, "responder": {"answered": 1999}});
        let text = text(&now, Some(&before), Show::All);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
        assert_eq!(lines[1], ["off", "10", "0"]);
        assert_eq!(lines[2][..2], ["redirected", "2000"]);
        let rate: f64 = lines[2][2].parse().unwrap();
        assert!((900.0..=1000.0).contains(&rate), "{rate}");
        assert_eq!(lines[3], ["brand_new", "4", "2"]);
        assert_eq!(lines[4], ["responder:", "answered", "1999"]);
    }
}
