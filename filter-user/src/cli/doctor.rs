//! `sip-filter doctor`.

use filter_user::config::{self, AttachOptions, Config, Settings};
use filter_user::doctor::{Finding, Level, examine, examine_database};

use super::error::{Error, Outcome};
use super::output::{Output, counted};
use super::runtime::block_on;

pub(super) const EXAMPLES: &str = "\
Examples:
  sip-filter doctor                    the interfaces of the configuration file
  sip-filter doctor --iface eth0       before the first start on eth0
  sip-filter doctor --json | jq '.[] | select(.level != \"ok\")'";

pub(super) fn doctor(
    settings: &Settings,
    config: &Config,
    options: AttachOptions,
    output: Output,
) -> Result<Outcome, Error> {
    let run = match config.run_settings(&options.into()) {
        Ok((_, run)) => Some(run),
        Err(config::Error::NoInterface(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut findings = examine(settings, run.as_ref());
    findings.push(block_on(examine_database(settings))?);
    output.print(&findings, || text(&findings, run.is_some()))?;
    Ok(match worst(&findings) {
        Level::Ok => Outcome::Done,
        Level::Warning => Outcome::Degraded,
        Level::Failure => Outcome::Failed,
    })
}

fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}

/// Formats each finding, and a summary.
fn text(findings: &[Finding], has_interfaces: bool) -> String {
    let mut text: String = findings.iter().map(block).collect();
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let warnings = counted(count(Level::Warning), "warning", "warnings");
    let failures = counted(count(Level::Failure), "failure", "failures");
    let summary = match worst(findings) {
        Level::Ok => "\nAll is well.\n".to_owned(),
        Level::Warning => format!("\nsip-filter works here, but not as well as it could: {warnings}.\n"),
        Level::Failure => format!("\nsip-filter cannot run here: {failures}, {warnings}.\n"),
    };
    text.push_str(&summary);
    if !has_interfaces {
        text.push_str("No interface was checked: name one with --iface, or in the configuration file.\n");
    }
    text
}

/// Formats a finding: a line for the fact and, unless all is well, why it matters and how to fix it.
fn block(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Ok => "ok",
        Level::Warning => "WARNING",
        Level::Failure => "FAILURE",
    };
    // The errors of `run` name the interface themselves.
    let interface = finding.interface.as_ref().filter(|_| !finding.fact.starts_with("interface "));
    let interface = interface.map_or_else(String::new, |interface| format!("{interface}: "));
    let Finding { fact, why, fix, .. } = finding;
    let advice = fix.as_ref().map(|fix| format!("         why: {why}\n         fix: {fix}\n")).unwrap_or_default();
    format!("{level:<7}  {interface}{fact}\n{advice}")
}

#[cfg(test)]
mod tests {
    use filter_user::doctor::{Finding, Level};

    use super::text;

    fn finding(level: Level, interface: Option<&str>, fact: &str) -> Finding {
        let fix = (level != Level::Ok).then(|| "ethtool -K eth0 rxvlan off".to_owned());
        let (interface, fact) = (interface.map(str::to_owned), fact.to_owned());
        Finding { level, check: "vlan", interface, fact, why: "responses leave without it".into(), fix }
    }

    #[test]
    fn problems_are_shown_with_their_reason_and_their_fix() {
        let findings = [
            finding(Level::Ok, None, "the kernel is Linux 6.18"),
            finding(Level::Warning, Some("eth0"), "it removes VLAN tags from the frames"),
            finding(Level::Failure, Some("eth1"), "interface eth1: there is none of that name"),
        ];
        let expected = "\
ok       the kernel is Linux 6.18
WARNING  eth0: it removes VLAN tags from the frames
         why: responses leave without it
         fix: ethtool -K eth0 rxvlan off
FAILURE  interface eth1: there is none of that name
         why: responses leave without it
         fix: ethtool -K eth0 rxvlan off

sip-filter cannot run here: 1 failure, 1 warning.
";
        assert_eq!(text(&findings, true), expected);
        assert!(text(&findings[..2], true).ends_with("works here, but not as well as it could: 1 warning.\n"));
        assert!(text(&findings[..1], true).ends_with("\nAll is well.\n"));
        assert!(text(&findings[..1], false).contains("No interface was checked"));
    }
}
