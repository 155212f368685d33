//! From a change of the row to the first call that is decided by it, for each kind of database.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use filter_lab::caller::Caller;
use filter_lab::database::{Kind, Server};
use filter_lab::lab::Lab;
use filter_lab::wire::{Family, PROXY_INTERFACE};
use filter_user::control::Client;
use filter_user::store::{Action, DatabaseUrl, Missing, Origin, Scope, Store, Switch, Via};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::Effort;
use crate::report::{Bound, Report, Rounds};

/// How often each database is toggled.
const TOGGLES: u32 = 100;
/// A change that is not there by then never comes.
const PATIENCE: Duration = Duration::from_secs(5);
/// A response takes a fraction of this on a wire of one machine.
const RESPONSE: Duration = Duration::from_millis(500);

/// A database, and within how many milliseconds a change of its row has to be in force.
const DATABASES: [(&str, Option<Kind>, f64); 3] =
    [("PostgreSQL", Some(Kind::Postgres), 10.0), ("SQLite", None, 50.0), ("MariaDB", Some(Kind::Mariadb), 250.0)];

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    let toggles = (TOGGLES / effort.divisor).max(4);
    for (name, kind, limit) in DATABASES {
        let server = kind.map(Server::start);
        let mut lab = Lab::new();
        lab.shows_log = false;
        let (lab, url) = match &server {
            Some(server) => (lab.with_database(server.url()), server.url()),
            None => {
                let url = format!("sqlite://{}", lab.filter.database().display());
                (lab, url)
            }
        };
        let _daemon = lab.filter.start(&["--iface", PROXY_INTERFACE, "--mode", "native"]);
        let caller = lab.caller(Family::V4);
        let row = by_row(&url.parse()?, &caller, toggles)?;
        report.target(format!("{name}: row, median, ms"), row.median(), Bound::AtMost(limit));
        report.target(format!("{name}: row, p99, ms"), row.percentile(99), Bound::AtMost(limit));
        report.figure("sync", format!("{name}: from the commit of another host"), "ms", row);
        let command = by_command(&lab.filter.socket(), &caller, toggles)?;
        report.figure("sync", format!("{name}: from the command `on` or `off`, its writing included"), "ms", command);
    }
    Ok(())
}

/// Another host writes the row: from its commit on.
fn by_row(url: &DatabaseUrl, caller: &Caller, toggles: u32) -> Result<Rounds> {
    let runtime = Runtime::new().context("a runtime")?;
    let table = "htable_config".parse()?;
    let (mut store, _) = runtime.block_on(Store::open(url, &table, &"bench".parse()?, Missing::Refuse))?;
    let mut rounds = Rounds::default();
    for toggle in 0..toggles {
        let action = if toggle % 2 == 0 { Action::On } else { Action::Off };
        // The daemon's polls must not fall into step with the toggles.
        std::thread::sleep(Duration::from_millis(u64::from(20 + toggle * 37 % 101)));
        runtime.block_on(store.switch(&switch(action)))?;
        rounds.add(until_decided(action, caller)?);
    }
    runtime.block_on(store.close());
    Ok(rounds)
}

/// The daemon's own command, over its socket: from the request on.
fn by_command(socket: &Path, caller: &Caller, toggles: u32) -> Result<Rounds> {
    let mut client = Client::connect(socket)?;
    let mut rounds = Rounds::default();
    for toggle in 0..toggles {
        let action = if toggle % 2 == 0 { Action::On } else { Action::Off };
        let begin = Instant::now();
        client.call(action.name(), json!({}))?;
        until_decided(action, caller)?;
        rounds.add(milliseconds(begin));
    }
    Ok(rounds)
}

fn until_decided(action: Action, caller: &Caller) -> Result<f64> {
    let status = if action == Action::On { 503 } else { 200 };
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let response = caller.ask_within(&caller.invite(), RESPONSE);
        if response.and_then(|response| response.status()) == Some(status) {
            return Ok(milliseconds(begin));
        }
    }
    bail!("`{action}` was not in force within {PATIENCE:?}")
}

fn milliseconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}

fn switch(action: Action) -> Switch {
    let origin = Origin { actor: "bench".into(), why: None, via: Via::Database, node: "bench".into() };
    Switch::new(action, Scope::Cluster, origin)
}
