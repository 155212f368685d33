//! `sip-filter doctor`.

use clap::Args;
use clap::builder::BoolishValueParser;
use filter_user::config::{self, Common, RunOptions, Settings};
use filter_user::dataplane::Mode;
use filter_user::doctor::{Finding, Level, examine};

use super::error::{Error, Outcome};
use super::output::{Output, counted};
use super::runtime::block_on;

pub(super) const EXAMPLES: &str = "\
Examples:
  sip-filter doctor                    the host, the interfaces of the configuration file, the daemon, the database
  sip-filter doctor --iface eth0       before it is attached to eth0
  sip-filter doctor --json | jq '.[] | select(.level != \"ok\")'";

/// Options of `doctor`: those of `run` that matter for what is looked at.
#[derive(Args)]
pub(super) struct DoctorOptions {
    /// Network interface to look at; repeat it, or separate several by commas [default: those of `run`]
    #[arg(long, env = "SIP_FILTER_IFACE", value_name = "IF", value_delimiter = ',')]
    iface: Option<Vec<String>>,

    /// Where the XDP program is to run, as for `run`: auto, native or generic [default: that of `run`]
    #[arg(long, env = "SIP_FILTER_MODE", value_name = "MODE", value_enum, hide_possible_values = true)]
    mode: Option<Mode>,

    /// Whether the AF_XDP sockets are to be bound in zero-copy mode, as for `run` [default: that of `run`]
    #[arg(
        long,
        env = "SIP_FILTER_ZERO_COPY",
        num_args = 0..=1,
        default_missing_value = "true",
        require_equals = true,
        value_name = "BOOL",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true
    )]
    zero_copy: Option<bool>,
}

pub(super) fn doctor(
    settings: &Settings,
    options: DoctorOptions,
    (flags, file): (&Common, &Common),
    output: Output,
) -> Result<Outcome, Error> {
    let DoctorOptions { iface, mode, zero_copy } = options;
    let run = RunOptions { iface, mode, zero_copy, ..RunOptions::default() };
    let run = match run.resolve(flags, file) {
        Err(config::Error::NoInterface(_)) => None,
        resolved => Some(resolved?),
    };
    let findings = block_on(examine(settings, run.as_ref()))?;
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

/// A line for each fact; below it, if all is not well, why it matters and how to mend it.
fn text(findings: &[Finding], interfaces: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "WARNING",
            Level::Failure => "FAILURE",
        };
        let about = finding.interface.as_ref().map_or(String::new(), |interface| format!("{interface}: "));
        // The errors of `run` name the interface themselves.
        let about = if finding.fact.starts_with("interface ") { String::new() } else { about };
        text.push_str(&format!("{level:<7}  {about}{}\n", finding.fact));
        if let Some(mend) = &finding.mend {
            text.push_str(&format!("         why:  {}\n         mend: {mend}\n", finding.why));
        }
    }
    let of = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (warnings, failures) =
        (counted(of(Level::Warning), "warning", "warnings"), counted(of(Level::Failure), "failure", "failures"));
    text.push_str(&match worst(findings) {
        Level::Ok => "\nAll is well.\n".to_owned(),
        Level::Warning => format!("\nsip-filter works here, but not as well as it could: {warnings}.\n"),
        Level::Failure => format!("\nsip-filter does not run here as it is: {failures}, {warnings}.\n"),
    });
    if !interfaces {
        text.push_str("No interface was looked at: name it with --iface, or in the configuration file.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use filter_user::doctor::{Finding, Level};

    use super::text;

    fn finding(level: Level, interface: Option<&str>, fact: &str) -> Finding {
        let mend = (level != Level::Ok).then(|| "ethtool -K eth0 rxvlan off".to_owned());
        let (interface, fact) = (interface.map(str::to_owned), fact.to_owned());
        Finding { level, check: "vlan", interface, fact, why: "replies leave without it".into(), mend }
    }

    #[test]
    fn what_is_not_well_is_told_with_its_reason_and_its_mending() {
        let findings = [
            finding(Level::Ok, None, "the kernel is Linux 6.18"),
            finding(Level::Warning, Some("eth0"), "it takes VLAN tags out of the frames"),
            finding(Level::Failure, Some("eth1"), "interface eth1: there is none of that name"),
        ];
        let expected = "\
ok       the kernel is Linux 6.18
WARNING  eth0: it takes VLAN tags out of the frames
         why:  replies leave without it
         mend: ethtool -K eth0 rxvlan off
FAILURE  interface eth1: there is none of that name
         why:  replies leave without it
         mend: ethtool -K eth0 rxvlan off

sip-filter does not run here as it is: 1 failure, 1 warning.
";
        assert_eq!(text(&findings, true), expected);
        assert!(text(&findings[..2], true).ends_with("works here, but not as well as it could: 1 warning.\n"));
        assert!(text(&findings[..1], true).ends_with("\nAll is well.\n"));
        assert!(text(&findings[..1], false).contains("No interface was looked at"));
    }
}
