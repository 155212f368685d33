//! The daemon on real database servers: their rows are in force, and their outages change nothing but the alarms.
#![cfg(test)]

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use filter_lab::daemon::Daemon;
use filter_lab::database::{Kind, Network, Server};
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{End, Family, PROXY_INTERFACE};
use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::{Value, json};

/// Time within which a change must be in force on a busy test machine.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time within which an outage must raise an alarm.
const OUTAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time within which the daemon must find a database that has returned: more than the longest pause between attempts.
const RETURN_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts a server that listens on a socket, and returns a laboratory that uses it.
#[track_caller]
fn lab(kind: Kind) -> (Server, Lab) {
    let server = Server::start(kind);
    let lab = Lab::new().with_database(server.url());
    (server, lab)
}

/// Starts a server with TLS that is reached over the wire, and returns a laboratory that uses it.
#[track_caller]
fn lab_over_the_wire(kind: Kind) -> (Server, Lab) {
    let lab = Lab::new();
    let address = SocketAddr::new(End::Caller.address(Family::V4), if kind == Kind::Mariadb { 3306 } else { 5432 });
    let server = Server::start_on_network(kind, Network { namespace: lab.outside.clone(), address, tls: true });
    let url = server.network_url();
    (server, lab.with_database(url))
}

#[track_caller]
fn start(lab: &Lab, node: &str) -> Daemon {
    lab.filter.start(&["--iface", PROXY_INTERFACE, "--mode", "native", "--node", node])
}

/// Waits for the alarm about the database, and returns its text.
#[track_caller]
fn wait_for_outage(lab: &Lab) -> String {
    wait::until_some("an alarm about the database", OUTAGE_TIMEOUT, || {
        let status = lab.filter.status();
        let alarm = status["alarms"].as_array()?.iter().find(|alarm| alarm["kind"] == "database")?;
        Some(alarm["text"].as_str()?.to_owned())
    })
}

/// Waits until there is no alarm.
#[track_caller]
fn wait_for_recovery(lab: &Lab) {
    wait::until("the alarm to end", RETURN_TIMEOUT, || lab.filter.alarms().is_empty());
}

/// Returns a member of each element of the array `of` in the output of a command.
fn members(output: &Value, of: &str, member: &str) -> Vec<Value> {
    output[of].as_array().into_iter().flatten().map(|element| element[member].clone()).collect()
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn changed_row_and_command_are_in_force_on_a_server(#[case] kind: Kind) {
    let (server, lab) = lab(kind);
    let _daemon = start(&lab, "sbc1");
    let caller = lab.caller(Family::V4);
    lab.expect_call_accepted(&caller);
    for (value, status) in [("1", 503), ("0", 200), ("1", 503)] {
        server.set_row("maint", value);
        lab.wait_for_status(status, &caller, CHANGE_TIMEOUT);
    }
    lab.filter.run(&["off"]);
    lab.expect_call_accepted(&caller);
    lab.filter.run(&["on", "--code", "480"]);
    caller.expect(&caller.invite(), 480);
    assert_eq!(server.sql("SELECT key_value FROM htable_config WHERE key_name = 'maint'"), "1");
    // The host's own row wins. The row of another host does not matter.
    server.set_row("maint@sbc1", "0");
    lab.wait_for_status(200, &caller, CHANGE_TIMEOUT);
    server.set_row("maint@sbc2", "1");
    lab.filter.run(&["reload"]);
    lab.expect_call_accepted(&caller);
    server.sql("DELETE FROM htable_config WHERE key_name = 'maint@sbc1'");
    lab.wait_for_status(480, &caller, CHANGE_TIMEOUT);
}

#[rstest]
#[case::killed(Server::kill, Server::start_again)]
#[case::stopped(Server::stop, Server::start_again)]
#[case::hung(
    |server: &mut Server| server.signal(Signal::SIGSTOP),
    |server: &mut Server| server.signal(Signal::SIGCONT)
)]
#[case::out_of_connections(
    |server: &mut Server| { server.limit_connections(1); server.disconnect() },
    |server: &mut Server| server.limit_connections(0)
)]
#[case::password_changed(
    |server: &mut Server| { server.change_password("another"); server.disconnect() },
    |server: &mut Server| server.change_password("s3cret")
)]
fn outage_of_a_server_changes_nothing_raises_an_alarm_and_is_recovered_from(
    #[values(Kind::Mariadb, Kind::Postgres)] kind: Kind,
    #[case] begin: fn(&mut Server),
    #[case] end: fn(&mut Server),
) {
    let (mut server, lab) = lab(kind);
    let mut daemon = start(&lab, "sbc1");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);

    begin(&mut server);
    let alarm = wait_for_outage(&lab);
    assert!(!format!("{alarm}{}", daemon.log()).contains("s3cret"), "{alarm}");
    lab.expect_call_refused(&caller);
    assert!(daemon.is_running());

    end(&mut server);
    server.set_row("maint", "0");
    lab.wait_for_status(200, &caller, RETURN_TIMEOUT);
    wait_for_recovery(&lab);
}

/// The server responds, but not for the table: the daemon waits no longer than for a server that is gone. It reads the
/// table of migrations when it opens the database again.
#[rstest]
fn locked_table_is_an_outage_and_a_switch_fails_in_time(
    #[values(Kind::Mariadb, Kind::Postgres)] kind: Kind,
    #[values("htable_config", "sip_filter_migration")] table: &str,
) {
    let (server, lab) = lab(kind);
    let _daemon = start(&lab, "sbc1");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    let lock = server.lock(table);
    server.disconnect();
    wait_for_outage(&lab);
    let begin = Instant::now();
    let output = lab.filter.output(&["off"]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}: {output:#?}", begin.elapsed());
    lab.expect_call_refused(&caller);

    drop(lock);
    wait_for_recovery(&lab);
    lab.filter.run(&["off"]);
    lab.expect_call_accepted(&caller);
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn dropped_table_is_an_outage_and_only_migrate_creates_it_again(#[case] kind: Kind) {
    let (server, lab) = lab(kind);
    let _daemon = start(&lab, "sbc1");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    server.sql("DROP TABLE htable_config");
    let alarm = wait_for_outage(&lab);
    assert!(alarm.contains("sip-filter migrate"), "{alarm}");
    lab.expect_call_refused(&caller);
    lab.filter.run(&["migrate"]);
    wait_for_recovery(&lab);
    // An empty table means off. Changes are noticed again, by the trigger or by the poll.
    lab.wait_for_status(200, &caller, RETURN_TIMEOUT);
    server.set_row("maint", "1");
    lab.wait_for_status(503, &caller, CHANGE_TIMEOUT);
}

/// With TLS and a verified certificate. Then the cable is pulled, so that nothing comes back, not even an RST.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn network_to_the_server_that_is_cut_raises_an_alarm_and_is_recovered_from(#[case] kind: Kind) {
    let (server, lab) = lab_over_the_wire(kind);
    let mut daemon = start(&lab, "sbc1");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);
    assert!(daemon.is_running());

    lab.outside.ip(&format!("link set dev {} down", End::Caller.interface()));
    wait_for_outage(&lab);
    assert_eq!(lab.filter.status()["policy"]["maintenance"], true);
    server.set_row("maint", "0");
    lab.outside.ip(&format!("link set dev {} up", End::Caller.interface()));
    wait::until("maintenance to be off", RETURN_TIMEOUT, || lab.filter.status()["policy"]["maintenance"] == false);
    wait_for_recovery(&lab);
}

#[rstest]
#[case::mariadb(Kind::Mariadb, "ssl-mode=DISABLED")]
#[case::postgres(Kind::Postgres, "sslmode=disable")]
fn server_that_requires_tls_is_not_used_without_it(#[case] kind: Kind, #[case] without_tls: &str) {
    let (server, lab) = lab_over_the_wire(kind);
    lab.filter.run(&["migrate"]);
    let url = server.network_url();
    let (base, _) = url.split_once('?').unwrap_or((&url, ""));
    let lab = lab.with_database(format!("{base}?{without_tls}"));
    let output = lab.filter.output(&["migrate"]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(!format!("{output:?}").contains("s3cret"), "{output:#?}");
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn daemon_without_its_server_starts_with_the_state_of_the_last_one(#[case] kind: Kind) {
    let (mut server, lab) = lab(kind);
    let caller = lab.caller(Family::V4);
    let mut daemon = start(&lab, "sbc1");
    lab.filter.run(&["on"]);
    daemon.end(Signal::SIGKILL);
    server.kill();

    let mut daemon = start(&lab, "sbc1");
    lab.expect_call_refused(&caller);
    assert_eq!(lab.filter.status()["source"], "state_file");
    assert!(daemon.log().contains(&lab.filter.state().display().to_string()), "{}", daemon.log());
    daemon.end(Signal::SIGKILL);

    fs::remove_file(lab.filter.state()).unwrap();
    let _daemon = start(&lab, "sbc1");
    lab.expect_call_accepted(&caller);
    assert_eq!(lab.filter.status()["source"], "default");
    server.start_again();
    lab.wait_for_status(503, &caller, RETURN_TIMEOUT);
}

/// Maintenance ends although no host can read the table any more. Once a host can, the end is written to the table.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn maintenance_ends_as_planned_while_the_server_is_down(#[case] kind: Kind) {
    let (mut server, lab) = lab(kind);
    let _daemon = start(&lab, "sbc1");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on", "--for", "3s"]);
    server.kill();
    lab.expect_call_refused(&caller);
    lab.wait_for_status(200, &caller, Duration::from_secs(10));
    server.start_again();
    let flag = "SELECT key_value FROM htable_config WHERE key_name = 'maint'";
    wait::until("the end in the table", RETURN_TIMEOUT, || server.sql(flag) == "0");
    let event = server.sql("SELECT via, action FROM sip_filter_event ORDER BY id DESC LIMIT 1");
    assert_eq!(event, "planned\toff");
    lab.expect_call_accepted(&caller);
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn two_hosts_share_a_database_and_a_switch_waits_for_both(#[case] kind: Kind) {
    let (server, one) = lab(kind);
    let two = Lab::new().with_database(server.url());
    let (_first, second) = (start(&one, "sbc1"), start(&two, "sbc2"));
    let (caller_one, caller_two) = (one.caller(Family::V4), two.caller(Family::V4));

    let output = one.filter.json(&["on", "--wait", "--why", "upgrade"]);
    assert_eq!((&output["applied"], &output["late"]), (&json!(true), &json!([])), "{output}");
    one.expect_call_refused(&caller_one);
    two.expect_call_refused(&caller_two);

    one.filter.run(&["off", "--node", "sbc2", "--wait"]);
    one.expect_call_refused(&caller_one);
    two.expect_call_accepted(&caller_two);
    let status = two.filter.run(&["status"]);
    assert!(status.contains("maint@sbc2"), "{status}");
    one.filter.run(&["on", "--all", "--wait"]);
    two.expect_call_refused(&caller_two);

    // A host that hangs is named, and the others have applied the switch.
    second.signal(Signal::SIGSTOP);
    let output = one.filter.output(&["off", "--wait=1s"]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stdout.contains("sbc2") && !output.stdout.contains("sbc1"), "{output:#?}");
    one.expect_call_accepted(&caller_one);
    second.signal(Signal::SIGCONT);
    two.wait_for_status(200, &caller_two, RETURN_TIMEOUT);

    let nodes = two.filter.json(&["nodes"]);
    assert_eq!(members(&nodes, "nodes", "node"), ["sbc1", "sbc2"], "{nodes}");
    assert_eq!(members(&nodes, "nodes", "alive"), [true, true], "{nodes}");
    assert!(
        members(&nodes, "nodes", "state")
            .iter()
            .any(|state| state.as_str().is_some_and(|state| state.ends_with("off"))),
        "{nodes}"
    );
    let history = two.filter.json(&["history"]);
    assert_eq!(members(&history, "events", "action"), ["off", "on", "off", "on"], "{history}");
    assert!(members(&history, "events", "why").contains(&json!("upgrade")), "{history}");
    assert!(members(&history, "events", "actor").contains(&json!("root")), "{history}");
}

/// Two operators, each on one host: whoever is last, both hosts end in the state of the row.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn hosts_switched_at_the_same_instant_end_in_the_state_of_the_row(#[case] kind: Kind) {
    let (server, one) = lab(kind);
    let two = Lab::new().with_database(server.url());
    let (_first, _second) = (start(&one, "sbc1"), start(&two, "sbc2"));
    for _ in 0..5 {
        thread::scope(|scope| {
            scope.spawn(|| one.filter.run(&["on"]));
            scope.spawn(|| two.filter.run(&["off"]));
        });
        let row = server.sql("SELECT key_value FROM htable_config WHERE key_name = 'maint'");
        for lab in [&one, &two] {
            wait::until("the host to be in the state of the row", CHANGE_TIMEOUT, || {
                lab.filter.status()["policy"]["maintenance"] == (row == "1")
            });
        }
    }
}

/// Other users can see the arguments of a process, and some can read its log.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn password_is_not_in_the_arguments_the_status_or_the_log(#[case] kind: Kind) {
    let (_server, lab) = lab(kind);
    let daemon = start(&lab, "sbc1");
    let arguments = fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    let status = format!("{}{}", lab.filter.run(&["status"]), lab.filter.status());
    let seen = format!("{}{status}{}", String::from_utf8_lossy(&arguments), daemon.log());
    assert!(seen.contains("sip_filter:***@"), "{seen}");
    assert!(!seen.contains("s3cret"), "{seen}");
}
