//! One cell of the matrix: the daemon on a wire, a caller, and what is expected of them.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::nics;
use super::plan::{BINARY, Cell, Expect, Plan};
use crate::daemon::Daemon;
use crate::failure::{OrFail as _, catch};
use crate::installation::Installation;
use crate::lab::Lab;
use crate::wire::{Family, PROXY_INTERFACE, WireOptions, wait_until_up};
use crate::{process, wait};

/// Number of callers for each queue and IP version.
///
/// Each has its own port, so that a NIC that hashes ports spreads them. The probability that one of two queues gets
/// none of 32 calls, or one of four none of 64, is less than 10⁻⁶.
const CALLERS: u32 = 8;

/// Runs the cells and reports each by its name: the number of refused calls, or a sentence about the failure.
pub fn run_all(plan: &Plan, mut report: impl FnMut(&str, Result<u64, String>)) {
    // NICs stay in their namespaces for all cells. A veth pair is created for each cell, with its number of queues.
    let mut nics = plan.nics.then(|| Lab::over_nics(nics::first_two().each_ref().map(String::as_str)));
    for cell in &plan.cells {
        let result = match &mut nics {
            Some(lab) => catch(|| run_on_nics(lab, cell)),
            None => catch(|| {
                let queues = cell.queues.unwrap_or(1);
                run(&Lab::with_wire(WireOptions { queues, ..WireOptions::default() }), cell)
            }),
        };
        report(&cell.name, result.flatten());
    }
}

fn run_on_nics(lab: &mut Lab, cell: &Cell) -> Result<u64, String> {
    lab.filter = Installation::new(&lab.inside, Path::new(BINARY));
    if let Some(queues) = cell.queues {
        set_queues(lab, queues);
    }
    run(lab, cell)
}

fn set_queues(lab: &Lab, queues: u32) {
    let shown = lab.inside.exec(&format!("ethtool -l {PROXY_INTERFACE}"));
    let current = shown.split("Current hardware settings:").nth(1).or_fail("`ethtool -l` shows no current settings");
    let count =
        |name: &str| current.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().parse::<u32>().ok());
    // ethtool fails if nothing changes.
    if count("Combined:") != Some(queues) {
        lab.inside.exec(&format!("ethtool -L {PROXY_INTERFACE} combined {queues}"));
        wait_until_up(&lab.inside, PROXY_INTERFACE);
    }
    // Makes a NIC hash UDP ports for the choice of the queue. Where this fails, the NIC hashes them anyway, or cannot.
    for protocol in ["udp4", "udp6"] {
        let mut ethtool = lab.inside.command("ethtool");
        process::run(ethtool.args(["-N", PROXY_INTERFACE, "rx-flow-hash", protocol, "sdfn"]));
    }
}

/// Runs a cell and returns the number of refused calls, or a sentence about the failure with the daemon's log.
fn run(lab: &Lab, cell: &Cell) -> Result<u64, String> {
    let mut arguments = vec!["--iface", PROXY_INTERFACE];
    arguments.extend(cell.arguments.iter().map(String::as_str));
    let result = catch(|| {
        assert_doctor_agrees(lab, cell, &arguments);
        match &cell.expect {
            Expect::Rejects { error } => {
                assert_start_fails(lab, &arguments, error);
                0
            }
            Expect::Works { mode, socket, log, spread } => {
                let mut daemon = lab.filter.start(&arguments);
                assert_works(lab, cell, (mode, socket), log, *spread, &mut daemon)
            }
        }
    });
    result.map_err(|failure| format!("{failure}\nLog of the daemon:\n{}", lab.filter.log()))
}

/// Asserts that `sip-filter doctor` promises no more than is expected of the cell, and reports no failure if it works.
fn assert_doctor_agrees(lab: &Lab, cell: &Cell, arguments: &[&str]) {
    let output = lab.filter.output(&[&["doctor", "--json"], arguments].concat());
    let findings: Vec<Value> =
        serde_json::from_str(&output.stdout).or_fail(format_args!("not the JSON of `doctor`: {output:?}"));
    let find = |check: &str| findings.iter().find(|finding| finding["check"] == check);
    let says = |finding: &Value, words: &str| finding["fact"].as_str().is_some_and(|fact| fact.contains(words));
    // Before Linux 6.3 it says that it is unknown, or not known, whether the driver can run the program natively.
    let is_native =
        find("mode").is_some_and(|mode| mode["level"] == "ok" && says(mode, "native mode") && !says(mode, "known"));
    let is_promised = is_native && find("spare-queues").is_none();
    match &cell.expect {
        Expect::Works { mode, .. } => {
            assert!(
                matches!(output.code, Some(0 | 3)),
                "`doctor` reports a failure where the cell works: {findings:?}"
            );
            assert!(find("mode").is_some(), "`doctor` says nothing of the mode: {findings:?}");
            assert!(mode == "native" || !is_promised, "`doctor` promises native mode: {findings:?}");
        }
        Expect::Rejects { error } => {
            assert!(output.code == Some(1) || !is_promised, "`doctor` promises native mode: {findings:?}");
            let kernel = find("kernel").filter(|kernel| kernel["level"] == "failure");
            let is_too_old = error.contains("sip-filter needs Linux");
            assert!(kernel.is_some() == is_too_old, "`doctor` does not judge the kernel as `run` does: {findings:?}");
            let agrees = kernel.is_none_or(|kernel| output.code == Some(1) && kernel.to_string().contains(error));
            assert!(agrees, "`doctor` does not say of the kernel what `run` says: {findings:?}");
        }
    }
}

/// Asserts that the daemon does not start, with an error that contains `message`, and does not affect calls.
fn assert_start_fails(lab: &Lab, arguments: &[&str], message: &str) {
    let output = lab.filter.output(&[&["run"], arguments].concat());
    assert!(output.code == Some(1), "`sip-filter run` was to end with status 1: {output:?}");
    assert!(output.stderr.contains(message), "`sip-filter run` does not say \"{message}\": {output:?}");
    assert_calls_pass(lab);
}

/// Asserts that the daemon refuses new calls and nothing else, and that all calls pass when it is killed. Returns the
/// number of refused calls.
fn assert_works(
    lab: &Lab,
    cell: &Cell,
    (mode, socket): (&str, &str),
    log: &[String],
    spread: bool,
    daemon: &mut Daemon,
) -> u64 {
    let status = lab.filter.status();
    let interface = &status["interfaces"][0];
    assert!(interface["mode"] == mode, "attached in another mode than {mode}: {status}");
    let queues = interface["queues"].as_array().or_fail(format_args!("no queues in {status}")).len();
    assert!(cell.queues.is_none_or(|expected| expected as usize == queues), "{queues} queues: {status}");
    for queue in 0..queues {
        assert!(interface["queues"][queue]["socket"] == socket, "a socket not bound as {socket}: {status}");
    }
    for text in log {
        assert!(daemon.log().contains(text.as_str()), "the log does not say \"{text}\"");
    }
    // Established calls continue. New ones are refused, on each queue and with each IP version.
    let established = [Family::V4, Family::V6].map(|family| {
        let caller = lab.caller(family);
        (lab.expect_call_accepted(&caller), caller)
    });
    lab.filter.run(&["on"]);
    let mut refused = 0;
    for _ in 0..CALLERS * queues as u32 {
        for family in [Family::V4, Family::V6] {
            lab.expect_call_refused(&lab.caller(family));
            refused += 1;
        }
    }
    for (mut call, caller) in established {
        caller.reinvite(&mut call);
    }
    let status = lab.filter.status();
    let answered: Vec<u64> =
        (0..queues).filter_map(|queue| status["interfaces"][0]["queues"][queue]["answered"].as_u64()).collect();
    let sum = answered.iter().sum::<u64>();
    assert!(sum >= refused, "{refused} calls were refused, but the queues answered {answered:?}");
    assert!(!spread || answered.iter().all(|count| *count > 0), "a queue answered nothing: {answered:?}");

    daemon.end(Signal::SIGKILL);
    assert_calls_pass(lab);
    refused
}

/// Asserts that no program is attached to the NIC, and that new calls pass.
fn assert_calls_pass(lab: &Lab) {
    wait::until("the XDP program to leave the NIC", Duration::from_secs(5), || lab.attached_program().is_none());
    for family in [Family::V4, Family::V6] {
        let caller = lab.caller(family);
        // A NIC that has just reset its queues may lose the first packets, which a caller sends again.
        lab.wait_for_status(200, &caller, Duration::from_secs(10));
        lab.expect_call_accepted(&caller);
    }
}
