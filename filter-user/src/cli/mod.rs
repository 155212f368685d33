//! The command line.

mod database;
mod doctor;
mod exempt;
mod history;
mod migrate;
mod nodes;
mod output;
mod reload;
mod run;
mod stats;
mod status;
mod switch;
mod when;

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use filter_user::config::{self, Common, RunOptions, Settings};
use filter_user::control::{ClientError, Code};
use filter_user::domain::InvalidEntry;
use filter_user::store::{self, Recovery};

use self::output::Output;

/// It did not work.
const FAILED: u8 = 1;
/// The person has to call it in another way.
const USAGE: u8 = 2;
/// `status`, `doctor`: it works, but not all is as it should be.
const DEGRADED: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  sip-filter doctor --iface eth0                  can it run here, and how well?
  sip-filter run --iface eth0                     filter what arrives on eth0 for UDP port 5060
  sip-filter on --why 'upgrade to 6.0'            new calls get 503 Maintenance; calls that are up go on
  sip-filter on --code 480 --reason 'Moving' --retry-after 120
  sip-filter on --percent 30 --methods INVITE,OPTIONS
  sip-filter on --for 30m --wait                  ends by itself; returns when all hosts have it
  sip-filter on --node sbc2                       this host alone
  sip-filter bypass add 198.18.0.0/15 --why 'test callers'
  sip-filter status                               what is in force, and is all well?
  sip-filter off                                  new calls go to the proxy again

Exit status: 0 done, 1 failed, 2 wrong usage, 3 works but degraded (status, doctor).";

/// Shields a SIP proxy during maintenance: new calls get a 503 before they reach it.
///
/// sip-filter answers new INVITEs in the NIC's receive path (XDP and AF_XDP) while the row `maint` of a database table
/// says so; calls that are up, and everything else, pass untouched. `sip-filter run` is the daemon. The other commands
/// talk to it over its control socket, or without a daemon to the database.
#[derive(Parser)]
#[command(name = "sip-filter", version, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print JSON instead of text for people
    #[arg(long, global = true, help_heading = "Options of all commands")]
    json: bool,

    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon, in the foreground
    ///
    /// It is ready when it prints a line that begins with `sip-filter ready:` (and has told systemd, if that started
    /// it): the program is attached and the policy in force. SIGTERM and SIGINT end it, and all traffic passes again;
    /// SIGHUP is `sip-filter reload`. It logs to stderr.
    ///
    /// It needs CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW, or root; `sip-filter doctor` says whether it has what it
    /// needs.
    #[command(after_help = run::EXAMPLES)]
    Run(RunOptions),

    /// Look whether sip-filter can run here, and how well; changes nothing
    ///
    /// Looks at the kernel, at what this process may do, at the interfaces that `run` would take, at the daemon and at the
    /// database, and says of each what is so, why it matters, and how to mend it. Nothing is attached or written.
    ///
    /// Exit status 0 if all is well, 3 if it works but not as well as it could, 1 if sip-filter cannot run here.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorOptions),

    /// Begin maintenance: new calls are refused
    ///
    /// Writes the row `maint`, waits until the daemon has put it in force, and prints what is in force. Without a daemon
    /// it writes the database and says that nobody has applied it.
    ///
    /// What is not given stays as its row has it: after `on --percent 10`, `off` and `on`, it is 10 % again. `--percent
    /// 100` and `--methods INVITE` are the way back; a row that is deleted in the database is the default again. Only a
    /// planned end does not stay.
    On(switch::OnOptions),

    /// End maintenance: new calls go to the proxy
    ///
    /// Writes the row `maint`, waits until the daemon has put it in force, and prints what is in force. Without a
    /// daemon it writes the database and says that nobody has applied it.
    Off(switch::OffOptions),

    /// Calls from these prefixes are never refused: test callers, B-legs from inside
    ///
    /// The list is in the database, for all hosts that share it. With a daemon on the socket a change is in force when
    /// the command returns; without one it is written, and the command says that nobody here has applied it.
    #[command(subcommand)]
    Bypass(exempt::Bypass),

    /// Calls to these numbers are never refused: 911, 112 and 999, unless the list says otherwise
    ///
    /// The list is in the database, for all hosts that share it. Whatever is in it, urn:service:sos, Priority: emergency
    /// and the like are never refused either. With a daemon on the socket a change is in force when the command returns;
    /// without one it is written, and the command says that nobody here has applied it.
    #[command(subcommand)]
    Emergency(exempt::Emergency),

    /// Show what is in force, since when, by whom and why, and whether all is well
    ///
    /// Exit status 0 if all is well, 3 if there is an alarm or a queue without a responder, 1 without a daemon.
    Status,

    /// Have the daemon read the database now, and print what is in force
    Reload,

    /// Show the counters of packets, by what became of them
    Stats(stats::StatsOptions),

    /// Show who switched or changed what, when and why, the newest first
    ///
    /// Also what was changed other than by sip-filter (`outside`: SQL, Kamailio), and planned ends (`planned`). From the
    /// daemon, or without one from the database.
    History(history::HistoryOptions),

    /// Show the hosts that share the database, and what each has applied
    ///
    /// A host is alive if its daemon was heard of in the last 15 s. From the daemon, or without one from the database.
    Nodes,

    /// Make the database, or bring its tables up to date
    ///
    /// Only ever adds: the policy table, if there is none, the tables whose names begin with sip_filter_, and in PostgreSQL a
    /// trigger on the policy table that tells of changes.
    /// `run` does the same at its start.
    Migrate,
}

/// Reads the arguments and does it.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<io::Error>() {
            // `sip-filter stats | head`: who read it has seen enough.
            Some(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            _ => {
                eprintln!("sip-filter: {error}");
                ExitCode::from(if is_usage(&error) { USAGE } else { FAILED })
            }
        },
    }
}

/// Whether the same call can never work.
fn is_usage(error: &anyhow::Error) -> bool {
    let refused = |error: &ClientError| matches!(error, ClientError::Refused(error) if error.is(Code::InvalidParams));
    error.is::<config::Error>()
        || error.is::<run::LogLevelError>()
        || error.is::<InvalidEntry>()
        || error.downcast_ref().is_some_and(|error: &store::Error| error.recovery() == Recovery::Reject)
        || error.downcast_ref().is_some_and(refused)
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let file = cli.common.file()?;
    let settings: Settings = cli.common.resolve(&file)?;
    let output = Output::new(cli.json);
    match cli.command {
        Command::Run(options) => {
            let node = options.node.clone().unwrap_or_else(|| settings.node.clone());
            run::run(Settings { node, ..settings }, options.resolve(&cli.common, &file)?)
        }
        Command::Doctor(options) => doctor::doctor(&settings, options, (&cli.common, &file), output),
        Command::On(options) => switch::on(&settings, options, output),
        Command::Off(options) => switch::off(&settings, options, output),
        Command::Bypass(command) => exempt::bypass(&settings, command, output),
        Command::Emergency(command) => exempt::emergency(&settings, command, output),
        Command::Status => status::status(&settings, output),
        Command::Reload => reload::reload(&settings, output),
        Command::History(options) => history::history(&settings, &options, output),
        Command::Nodes => nodes::nodes(&settings, output),
        Command::Stats(options) => stats::stats(&settings, &options, output),
        Command::Migrate => migrate::migrate(&settings, output),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
