//! The time from a change of the row to the first call that it decides, for each kind of database.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use filter_lab::caller::Caller;
use filter_lab::database::{Kind, Server};
use filter_lab::lab::Lab;
use filter_lab::wire::{Family, PROXY_INTERFACE};
use filter_user::control::Client;
use filter_user::domain::{Action, Channel, Hosts, Origin, Switch};
use filter_user::protocol::{Off, On, method};
use filter_user::store::{DatabaseUrl, IfMissing, Store};
use tokio::runtime::Runtime;

use crate::Effort;
use crate::report::{Bound, Report, Rounds};

/// Number of times that the row of each database is toggled.
const TOGGLES: u32 = 100;
/// Time limit for a change to take effect.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for a response, which takes a fraction of this on a wire within one machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The databases, each with the time limit in milliseconds for a change of its row to take effect.
const DATABASES: [(&str, Option<Kind>, f64); 3] =
    [("PostgreSQL", Some(Kind::Postgres), 10.0), ("SQLite", None, 50.0), ("MariaDB", Some(Kind::Mariadb), 250.0)];

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    let toggles = (TOGGLES / effort.divisor).max(4);
    for (name, kind, limit) in DATABASES {
        let server = kind.map(Server::start);
        let mut lab = Lab::new();
        lab.shows_log = false;
        let (lab, url) = if let Some(server) = &server {
            (lab.with_database(server.url()), server.url())
        } else {
            let url = format!("sqlite://{}", lab.filter.database().display());
            (lab, url)
        };
        let _daemon = lab.filter.start(&["--iface", PROXY_INTERFACE, "--mode", "native"]);
        let caller = lab.caller(Family::V4);
        let row = toggle_row(&url.parse()?, &caller, toggles)?;
        report.target(format!("{name}: row, median, ms"), row.median(), Bound::AtMost(limit));
        report.target(format!("{name}: row, p99, ms"), row.percentile(99), Bound::AtMost(limit));
        report.figure("sync", format!("{name}: from the commit of another host"), "ms", row);
        let command = toggle_by_command(&lab.filter.socket(), &caller, toggles)?;
        report.figure("sync", format!("{name}: from the command `on` or `off`, its writing included"), "ms", command);
    }
    Ok(())
}

/// Toggles the row as another host. Returns the times in milliseconds from the commit to the first call that it
/// decides.
fn toggle_row(url: &DatabaseUrl, caller: &Caller, toggles: u32) -> Result<Rounds> {
    let runtime = Runtime::new().context("build a runtime")?;
    let table = "htable_config".parse()?;
    let (mut store, _) = runtime.block_on(Store::open(url, &table, &"bench".parse()?, IfMissing::Fail))?;
    let mut rounds = Rounds::default();
    for toggle in 0..toggles {
        let action = if toggle % 2 == 0 { Action::On } else { Action::Off };
        // Pauses of different lengths, so that the toggles do not fall into step with the daemon's polls.
        std::thread::sleep(Duration::from_millis(u64::from(20 + toggle * 37 % 101)));
        runtime.block_on(store.switch(&switch(action)))?;
        rounds.add(call_until_decided(action, caller)?);
    }
    runtime.block_on(store.close());
    Ok(rounds)
}

/// Toggles by commands over the daemon's socket. Returns the times in milliseconds from the request to the first call
/// that it decides.
fn toggle_by_command(socket: &Path, caller: &Caller, toggles: u32) -> Result<Rounds> {
    let mut client = Client::connect(socket)?;
    let mut rounds = Rounds::default();
    for toggle in 0..toggles {
        let action = if toggle % 2 == 0 { Action::On } else { Action::Off };
        let begin = Instant::now();
        match action {
            Action::On => drop(client.call::<method::On>(&On::default())?),
            Action::Off => drop(client.call::<method::Off>(&Off::default())?),
        }
        call_until_decided(action, caller)?;
        rounds.add(milliseconds(begin));
    }
    Ok(rounds)
}

/// Calls until a call is decided as after `action`, and returns the time that took in milliseconds.
fn call_until_decided(action: Action, caller: &Caller) -> Result<f64> {
    let status = if action == Action::On { 503 } else { 200 };
    let begin = Instant::now();
    while begin.elapsed() < SWITCH_TIMEOUT {
        let response = caller.ask_within(&caller.invite(), RESPONSE_TIMEOUT);
        if response.and_then(|response| response.status()) == Some(status) {
            return Ok(milliseconds(begin));
        }
    }
    bail!("`{action}` did not take effect within {SWITCH_TIMEOUT:?}")
}

/// Returns the time since `begin` in milliseconds.
fn milliseconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}

fn switch(action: Action) -> Switch {
    let origin = Origin { actor: "bench".into(), why: None, channel: Channel::Database, node: "bench".into() };
    Switch::new(action, Hosts::Cluster, origin)
}
