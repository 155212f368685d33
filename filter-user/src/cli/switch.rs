//! `sip-filter on` and `sip-filter off`.

use std::time::Duration;

use clap::Args;
use filter_user::config::Settings;
use filter_user::domain::NodeName;
use filter_user::protocol::{Off, On};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::backend::{Backend, SwitchReport};
use super::error::{Error, Outcome};
use super::output::{Output, pairs};
use super::{nodes, when};

/// Options of `on`.
#[derive(Args)]
pub(super) struct OnOptions {
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    end: PlannedEnd,
    #[command(flatten)]
    wait: Wait,
}

/// Options of `off`.
#[derive(Args)]
pub(super) struct OffOptions {
    #[command(flatten)]
    off: Off,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
#[expect(clippy::doc_markdown, reason = "the doc comments are help texts, not Markdown")]
struct PlannedEnd {
    /// End maintenance after this time, on all hosts: 30m, 90s, 2h, 1h30m [row maint_until]
    #[arg(long = "for", value_name = "TIME", value_parser = when::parse_for, conflicts_with = "until")]
    length: Option<Timestamp>,

    /// End maintenance at this time, on all hosts: 22:30, '2026-11-25 06:00', 2026-11-25T06:00:00Z [row maint_until]
    ///
    /// A time without a time zone is in the time zone of this host. Without --for and --until, the previous planned end
    /// is cancelled, except with --node.
    #[arg(long, value_name = "TIME", value_parser = when::parse_until)]
    until: Option<Timestamp>,
}

#[derive(Args)]
struct Wait {
    /// Wait until every host that is alive has applied the switch, or until TIME (up to 1h) is over [default TIME: 10s]
    ///
    /// If hosts have not applied the switch in time, names them and exits with status 1. With --node, waits for that
    /// host only, and counts it as late if it is not alive.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "10s",
        value_parser = when::parse_wait)]
    wait: Option<Duration>,
}

pub(super) fn on(settings: &Settings, options: OnOptions, output: Output) -> Result<Outcome, Error> {
    let OnOptions { on, end, wait } = options;
    let node = on.target.node.clone();
    let report = Backend::find(settings)?.on(On { until: end.length.or(end.until), ..on })?;
    finish(settings, report, node.as_ref(), &wait, output)
}

pub(super) fn off(settings: &Settings, options: OffOptions, output: Output) -> Result<Outcome, Error> {
    let OffOptions { off, wait } = options;
    let node = off.target.node.clone();
    let report = Backend::find(settings)?.off(off)?;
    finish(settings, report, node.as_ref(), &wait, output)
}

/// The JSON that a switch prints.
#[derive(Serialize)]
struct Printed {
    #[serde(flatten)]
    json: Value,
    /// Hosts that have not applied the switch in time; absent without `--wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<Vec<String>>,
}

/// Waits for the hosts, if asked to, and prints the result.
fn finish(
    settings: &Settings,
    report: SwitchReport,
    node: Option<&NodeName>,
    Wait { wait }: &Wait,
    output: Output,
) -> Result<Outcome, Error> {
    let SwitchReport { event, is_degraded, mut lines, json } = report;
    let late = wait.map(|timeout| nodes::wait(settings, event, node, timeout)).transpose()?;
    lines.extend(late.as_deref().map(nodes::late_line));
    let outcome = match &late {
        Some(late) if !late.is_empty() => Outcome::Failed,
        _ if is_degraded => Outcome::Degraded,
        _ => Outcome::Done,
    };
    output.print(&Printed { json, late }, || pairs(&lines))?;
    Ok(outcome)
}
