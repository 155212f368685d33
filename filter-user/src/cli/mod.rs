//! The command line.
#![forbid(unsafe_code)]

mod backend;
mod database;
mod doctor;
mod entries;
mod error;
mod history;
mod in_force;
mod lists;
mod migrate;
mod nodes;
mod output;
mod reload;
mod run;
mod runtime;
mod stats;
mod status;
mod switch;
mod when;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use filter_user::config::{AttachOptions, Common, Config, RunOptions};
use filter_user::protocol::History;

use self::error::{Error, Outcome, exit_status};
use self::output::Output;

const EXAMPLES: &str = "\
Examples:
  sip-filter doctor --iface eth0              check this host before the first start
  sip-filter run --iface eth0                 run the daemon
  sip-filter on --why 'upgrade to 6.0'        new calls get 503 Maintenance
  sip-filter on --code 480 --reason 'Moving' --retry-after 120
  sip-filter on --percent 30 --methods INVITE,OPTIONS
  sip-filter on --for 30m --wait              for 30 minutes; wait for all hosts
  sip-filter on --node sbc2                   the host sbc2 alone
  sip-filter bypass add 198.18.0.0/15 --why 'test callers'
  sip-filter scope add --source 203.0.113.0/24 --why 'trunk of carrier A'
  sip-filter status                           what is in force, and is all well?
  sip-filter off                              new calls reach the proxy again

Exit status: 0 done, 1 failed, 2 wrong usage, 3 works but degraded (status, doctor).";

/// Shields a SIP proxy during maintenance: new calls get a 503 before they reach it.
///
/// While the row `maint` of a database table is 1, sip-filter answers new INVITEs in the NIC's receive path (XDP and
/// AF_XDP). Established calls, and all other traffic, pass untouched. `sip-filter run` is the daemon. The other
/// commands use its control socket or, if no daemon runs, the database; `status`, `stats` and `reload` need the daemon.
#[derive(Parser)]
#[command(name = "sip-filter", version, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print JSON instead of text
    #[arg(long, global = true, help_heading = "Options of all commands")]
    json: bool,

    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
#[expect(clippy::doc_markdown, reason = "the doc comments are help texts, not Markdown")]
enum Command {
    /// Run the daemon in the foreground
    ///
    /// The daemon is ready when it prints a line that begins with `sip-filter ready:`: the program is attached and the
    /// policy is in force. It also notifies systemd. SIGTERM and SIGINT stop it, and all traffic passes again. SIGHUP
    /// makes it read the database again, like `sip-filter reload`. The log goes to standard error.
    ///
    /// The daemon needs CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW, or root. `sip-filter doctor` checks these
    /// and everything else that the daemon needs.
    #[command(after_help = run::EXAMPLES)]
    Run(RunOptions),

    /// Check whether sip-filter can run here, and how well; changes nothing
    ///
    /// Checks the kernel, the privileges of this process, the interfaces that `run` would use, the daemon and the
    /// database. For each problem, it prints why it matters and how to fix it. Nothing is attached or written.
    ///
    /// Exit status: 0 if all is well, 3 if sip-filter works here but not as well as it could, 1 if it cannot run here.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(AttachOptions),

    /// Begin maintenance: new calls are refused
    ///
    /// Writes the row `maint`, waits until the daemon has put it in force, and prints what is in force. Without a
    /// daemon, it writes the database and says that no daemon on this host has applied the switch.
    ///
    /// An option that is not given leaves its row as it is: `on --percent 10` also sets the share of every later `on`.
    /// `--percent 100` and `--methods INVITE` restore the defaults, and so does deleting the row. Only a planned end is
    /// not kept.
    On(switch::OnOptions),

    /// End maintenance: new calls reach the proxy
    ///
    /// Writes the row `maint`, waits until the daemon has put it in force, and prints what is in force. Without a
    /// daemon, it writes the database and says that no daemon on this host has applied the switch.
    Off(switch::OffOptions),

    /// List or change the prefixes whose calls are never refused: test callers, B-legs from inside
    ///
    /// The list is in the database and applies to all hosts that share it. With a daemon, a change is in force when the
    /// command returns. Without a daemon, it is written to the database, and the command says that no daemon on this
    /// host has applied it.
    #[command(subcommand)]
    Bypass(lists::Bypass),

    /// List or change the numbers to which calls are never refused: 911, 112 and 999 unless changed
    ///
    /// The list is in the database and applies to all hosts that share it. With a daemon, a change is in force when the
    /// command returns. Without a daemon, it is written to the database, and the command says that no daemon on this
    /// host has applied it.
    ///
    /// Whatever the list contains, calls to urn:service:sos are never refused either, nor are calls that a Priority or
    /// Resource-Priority header marks as emergencies.
    #[command(subcommand)]
    Emergency(lists::Emergency),

    /// List or change the scope: the new calls that maintenance is about, all unless limited
    ///
    /// Without entries, maintenance is about all new calls. With entries, it is about calls from a source in the list
    /// and about calls to a destination in the list. All other calls pass, and the host's firewall and the proxy decide
    /// about them, as without sip-filter. If a source is in several prefixes of scope and bypass, the longest prefix
    /// counts, and bypass wins a tie.
    ///
    /// The list is in the database and applies to all hosts that share it. With a daemon, a change is in force when the
    /// command returns. Without a daemon, it is written to the database, and the command says that no daemon on this
    /// host has applied it.
    #[command(subcommand)]
    Scope(lists::Scope),

    /// Show what is in force, since when, by whom and why, and whether all is well
    ///
    /// Exit status: 0 if all is well, 3 if an alarm is raised, or if a queue has no responder while maintenance is on,
    /// 1 if no daemon runs.
    Status,

    /// Make the daemon read the database now, and print what is in force
    Reload,

    /// Show the packet counters with their meaning
    ///
    /// The counters of the XDP program come first: each packet that it saw is counted under exactly one of them. Those
    /// of the responders follow: each redirected packet was answered, unanswered for one of the reasons, or lost at the
    /// socket. Counters that are zero are left out unless --all is given; --json has all.
    Stats(stats::StatsOptions),

    /// Show who switched or changed what, when and why, newest first
    ///
    /// Includes planned ends (`planned`) and changes by other tools (`outside`: SQL, Kamailio). Uses the daemon, or the
    /// database if no daemon runs.
    History(History),

    /// Show the hosts that share the database, and what each has in force
    ///
    /// A host is alive if its daemon was heard from in the last 15 s. Uses the daemon, or the database if no daemon
    /// runs.
    Nodes,

    /// Create the database, or bring its tables up to date
    ///
    /// Creates what is missing and removes nothing: the policy table, the tables whose names begin with sip_filter_,
    /// and in PostgreSQL a trigger on the policy table that reports changes. `run` does the same when it starts.
    Migrate,
}

/// Parses the arguments and executes the command.
pub(crate) fn main() -> ExitCode {
    let result = dispatch(Cli::parse());
    ExitCode::from(exit_status(&result))
}

fn dispatch(cli: Cli) -> Result<Outcome, Error> {
    let config = Config::load(cli.common)?;
    let settings = config.settings()?;
    let output = Output::new(cli.json);
    match cli.command {
        Command::Run(options) => {
            let (settings, options) = config.run_settings(&options)?;
            run::run(settings, options)
        }
        Command::Doctor(options) => doctor::doctor(&settings, &config, options, output),
        Command::On(options) => switch::on(&settings, options, output),
        Command::Off(options) => switch::off(&settings, options, output),
        Command::Bypass(command) => lists::bypass(&settings, command, output),
        Command::Emergency(command) => lists::emergency(&settings, command, output),
        Command::Scope(command) => lists::scope(&settings, command, output),
        Command::Status => status::status(&settings, output),
        Command::Reload => reload::reload(&settings, output),
        Command::History(options) => history::history(&settings, options, output),
        Command::Nodes => nodes::nodes(&settings, output),
        Command::Stats(options) => stats::stats(&settings, &options, output),
        Command::Migrate => migrate::migrate(&settings, output),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use filter_user::domain::Node;

    use super::Cli;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_of_nodes_has_the_age_at_which_a_host_counts_as_dead() {
        let command = Cli::command();
        let help = command.find_subcommand("nodes").unwrap().get_long_about().unwrap().to_string();
        assert!(help.contains(&format!("last {} s", Node::ALIVE.as_secs())), "{help}");
    }
}
