//! `sip-filter doctor`: whether sip-filter can run here, and how well. It only looks: nothing is attached, changed or
//! written.
//!
//! Where `run` would refuse to start, what is said is the error that `run` would give, from the same function.

mod daemon;
mod database;
mod finding;
mod host;
mod interface;

pub use finding::{Finding, Level};

use crate::config::{RunSettings, Settings};
use daemon::Daemon;

/// Looks at the host, the interfaces of `run` (none: they are left out), the daemon and the database.
pub async fn examine(settings: &Settings, run: Option<&RunSettings>) -> Vec<Finding> {
    // First, for what the others find depends on whether one runs; told later, for it is not what comes first.
    let daemon = Daemon::query(&settings.socket);
    let mut findings = host::examine(daemon.is_running());
    if let Some(run) = run {
        findings.extend(interface::examine(run, &daemon));
    }
    findings.extend(daemon.findings());
    findings.push(database::examine(settings).await);
    findings
}
