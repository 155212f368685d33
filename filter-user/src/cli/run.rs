//! `sip-filter run`: the log, the runtime, and the daemon in it.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use filter_user::config::{LogLevel, RunSettings, Settings};
use filter_user::daemon;

use super::error::{Error, Outcome};

pub(super) const EXAMPLES: &str = "\
Examples:
  sip-filter run --iface eth0
  sip-filter run --iface eth0,eth1 --port 5060 --port 5080
  SIP_FILTER_LOG=debug sip-filter run --iface veth0 --mode generic \\
      --database-url sqlite:///tmp/t.db --state-file /tmp/t.json --socket /tmp/t.sock";

/// Number of worker threads. The control plane has little to do, and packets have threads of their own.
const WORKERS: usize = 2;

/// Maximum time that the process outlives the daemon, for blocking work that hangs: a name service, a disk, a thread of
/// the data plane that did not stop.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn run(settings: Settings, options: RunSettings) -> Result<Outcome, Error> {
    start_log(&options.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("sip-filter")
        .enable_all()
        .build()
        .map_err(Error::failed)?;
    let outcome = runtime.block_on(daemon::run(settings, options));
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    outcome?;
    Ok(Outcome::Done)
}

fn start_log(level: &LogLevel) {
    tracing_subscriber::fmt()
        .with_env_filter(level.to_filter())
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}
