//! One cell of the matrix: the daemon on a wire, a caller, and what has to come of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::plan::{BINARY, Cell, Expect, Plan};
use crate::daemon::Daemon;
use crate::installation::Installation;
use crate::lab::Lab;
use crate::wire::{Family, PROXY_INTERFACE, WireOptions};

/// Callers for each queue and IP version: each has a port of its own, so that a NIC that hashes ports spreads them. That
/// a queue of two gets none of 32 calls, or of four none of 64, is less likely than one in a million.
const CALLERS: u32 = 8;

/// Runs the cells and reports each by its name: how many calls were refused, or what went wrong.
pub fn run_all(plan: &Plan, mut report: impl FnMut(&str, Result<u64, String>)) -> Result<()> {
    // NICs stay in their namespaces for all cells; a veth pair is made for each, with its queues.
    let mut nics = if plan.nics { Some(Lab::over(two_nics()?.each_ref().map(String::as_str))?) } else { None };
    for cell in &plan.cells {
        let result = match &mut nics {
            Some(lab) => on_nics(lab, cell),
            None => Lab::with(WireOptions { queues: cell.queues.unwrap_or(1), ..WireOptions::default() })
                .and_then(|lab| run(&lab, cell)),
        };
        report(&cell.name, result.map_err(|error| format!("{error:#}")));
    }
    Ok(())
}

/// The machine's NICs, in the order in which they are plugged in.
fn two_nics() -> Result<[String; 2]> {
    let devices = fs::read_dir("/sys/class/net").context("/sys/class/net")?;
    let mut nics = BTreeSet::new();
    for device in devices {
        let device = device?;
        if device.path().join("device").exists() {
            let slot = fs::canonicalize(device.path().join("device")).context("where a NIC is")?;
            nics.insert((slot, device.file_name().to_string_lossy().into_owned()));
        }
    }
    let nics: Vec<String> = nics.into_iter().map(|(_, name)| name).collect();
    nics.try_into().map_err(|nics| anyhow::anyhow!("the machine should have two NICs, it has {nics:?}"))
}

fn on_nics(lab: &mut Lab, cell: &Cell) -> Result<u64> {
    lab.filter = Installation::new(&lab.inside, Path::new(BINARY))?;
    if let Some(queues) = cell.queues {
        set_queues(lab, queues)?;
    }
    run(lab, cell)
}

fn set_queues(lab: &Lab, queues: u32) -> Result<()> {
    let shown = lab.inside.sh(&format!("ethtool -l {PROXY_INTERFACE}"));
    let now = shown.context("the NIC does not tell its queues")?;
    let current = now.split("Current hardware settings:").nth(1).context("`ethtool -l` has no current settings")?;
    let count =
        |name: &str| current.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().parse::<u32>().ok());
    // ethtool takes it for a mistake when nothing changes.
    if count("Combined:") != Some(queues) {
        lab.inside.sh(&format!("ethtool -L {PROXY_INTERFACE} combined {queues}"))?;
        crate::wire::wait_until_up(&lab.inside, PROXY_INTERFACE)?;
    }
    // UDP ports count for the choice of the queue where the NIC can be told so; others hash them anyway, or cannot.
    for protocol in ["udp4", "udp6"] {
        let _ = lab.inside.sh(&format!("ethtool -N {PROXY_INTERFACE} rx-flow-hash {protocol} sdfn"));
    }
    Ok(())
}

fn run(lab: &Lab, cell: &Cell) -> Result<u64> {
    let mut arguments = vec!["--iface", PROXY_INTERFACE];
    arguments.extend(cell.arguments.iter().map(String::as_str));
    foretold(lab, cell, &arguments).context("`sip-filter doctor`")?;
    let result = match &cell.expect {
        Expect::Refused { saying } => refused(lab, &arguments, saying).map(|()| 0),
        Expect::Works { mode, socket, log, spread } => {
            let mut daemon = lab.filter.start(&arguments)?;
            works(lab, cell, (mode, socket), log, *spread, &mut daemon)
        }
    };
    result.with_context(|| format!("log of the daemon: {}", lab.filter.log()))
}

/// The doctor promises no more than comes of it, and has no failure where there is none.
fn foretold(lab: &Lab, cell: &Cell, arguments: &[&str]) -> Result<()> {
    let answer = lab.filter.cli(&[&["doctor", "--json"], arguments].concat())?;
    let findings: Vec<Value> = serde_json::from_str(&answer.stdout).with_context(|| format!("its JSON: {answer:?}"))?;
    let find = |check: &str| findings.iter().find(|finding| finding["check"] == check);
    let says = |mode: &Value, words: &str| mode["fact"].as_str().is_some_and(|fact| fact.contains(words));
    let native = find("mode").is_some_and(|mode| says(mode, "can run the XDP program") && !says(mode, "not known"));
    let promised = native && find("spare-queues").is_none();
    match &cell.expect {
        Expect::Works { mode, .. } => {
            ensure!(matches!(answer.code, Some(0 | 3)), "a failure where all works: {findings:?}");
            ensure!(mode == "native" || !promised, "native mode is promised: {findings:?}");
        }
        Expect::Refused { saying } => {
            ensure!(answer.code == Some(1) || !promised, "native mode is promised: {findings:?}");
            let kernel = find("kernel").filter(|kernel| kernel["level"] == "failure");
            let told = kernel.is_none_or(|kernel| answer.code == Some(1) && kernel.to_string().contains(saying));
            ensure!(told, "not what `run` says of the kernel: {findings:?}");
        }
    }
    Ok(())
}

/// The daemon does not start, says why, and leaves calls alone.
fn refused(lab: &Lab, arguments: &[&str], saying: &str) -> Result<()> {
    let mut command = vec!["run"];
    command.extend(arguments);
    let answer = lab.filter.cli(&command)?;
    ensure!(answer.code == Some(1), "it was to end with status 1: {answer:?}");
    ensure!(answer.stderr.contains(saying), "it was to say \"{saying}\": {answer:?}");
    passes(lab)
}

/// Calls are refused as long as it runs, and nothing else is; all pass when it is killed.
fn works(
    lab: &Lab,
    cell: &Cell,
    (mode, socket): (&str, &str),
    log: &[String],
    spread: bool,
    daemon: &mut Daemon,
) -> Result<u64> {
    let status = lab.filter.status()?;
    let interface = &status["interfaces"][0];
    ensure!(interface["mode"] == mode, "attached in another mode than {mode}: {status}");
    let queues = interface["queues"].as_array().with_context(|| format!("no queues in {status}"))?.len();
    ensure!(cell.queues.is_none_or(|wanted| wanted as usize == queues), "{queues} queues: {status}");
    for queue in 0..queues {
        ensure!(interface["queues"][queue]["socket"] == socket, "a socket not bound as {socket}: {status}");
    }
    for text in log {
        ensure!(daemon.log().contains(text.as_str()), "the log does not say \"{text}\"");
    }
    // Calls that are up from before go on; those that come are refused, on each queue and with each IP version.
    let mut up = Vec::new();
    for family in [Family::V4, Family::V6] {
        let caller = lab.caller(family)?;
        up.push((lab.goes_through(&caller).with_context(|| format!("{family:?}, before the switch"))?, caller));
    }
    lab.filter.done(&["on"])?;
    let mut refused = 0;
    for _ in 0..CALLERS * queues as u32 {
        for family in [Family::V4, Family::V6] {
            lab.is_refused(&lab.caller(family)?)
                .with_context(|| format!("{family:?}, after {refused} refused calls"))?;
            refused += 1;
        }
    }
    for (call, caller) in &mut up {
        caller.reinvite(call).context("an INVITE within a call that is up")?;
    }
    let status = lab.filter.status()?;
    let answered: Vec<u64> =
        (0..queues).filter_map(|queue| status["interfaces"][0]["queues"][queue]["answered"].as_u64()).collect();
    ensure!(
        answered.iter().sum::<u64>() >= refused,
        "{refused} calls were refused, but the queues answered {answered:?}"
    );
    ensure!(!spread || answered.iter().all(|count| *count > 0), "a queue answered nothing: {answered:?}");

    daemon.end(Signal::SIGKILL)?;
    passes(lab).context("after the daemon was killed")?;
    Ok(refused)
}

/// New calls go through, and no program is on the NIC.
fn passes(lab: &Lab) -> Result<()> {
    crate::wait::until("the XDP program to go", Duration::from_secs(5), || Ok(lab.attached()?.is_none()))?;
    for family in [Family::V4, Family::V6] {
        let caller = lab.caller(family)?;
        // A NIC that has just reset its queues may lose the first packets: a caller sends them again.
        lab.until_calls_are(false, &caller, Duration::from_secs(10))?;
        lab.goes_through(&caller).with_context(|| format!("{family:?}"))?;
    }
    Ok(())
}
