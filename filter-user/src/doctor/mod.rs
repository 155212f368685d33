//! `sip-filter doctor`: checks whether sip-filter can run here, and how well. It changes nothing.
//!
//! If `run` would fail to start, the fact is the error of `run`, from the same function.
#![forbid(unsafe_code)]

mod bond;
mod daemon;
mod database;
mod finding;
mod host;
mod interface;
mod interfaces;
mod routes;

pub use self::database::examine as examine_database;
pub use self::finding::{Finding, Level};

use self::daemon::Daemon;
use crate::config::{RunSettings, Settings};

/// Checks the host, the interfaces of `run` if there are any, and the daemon.
pub fn examine(settings: &Settings, run: Option<&RunSettings>) -> Vec<Finding> {
    // Queried first, since other checks depend on whether a daemon runs.
    let daemon = Daemon::query(&settings.socket);
    let mut findings = host::examine(daemon.is_running());
    if let Some(run) = run {
        findings.extend(interfaces::examine(run, &daemon));
    }
    findings.extend(daemon.findings());
    findings
}
