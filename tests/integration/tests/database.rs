//! The database row decides: it is changed from outside, is kept over restarts, and an unreadable one changes nothing.
#![cfg(test)]

use std::fs;
use std::time::Duration;

use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::Family;
use nix::sys::signal::Signal;
use rstest::rstest;

/// Promised time within which a change of the row is in force.
const PROMISED: Duration = Duration::from_millis(100);

/// Time within which a change must be in force on a busy test machine.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits until the exit status of `status` says that the daemon is degraded.
#[track_caller]
fn wait_until_degraded(lab: &Lab) {
    wait::until("status to report a degraded daemon", Duration::from_secs(5), || {
        lab.filter.output(&["status"]).code == Some(3)
    });
}

#[test]
fn row_changed_from_outside_is_in_force_within_100_ms() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.expect_call_accepted(&caller);

    let mut took = Vec::new();
    for (value, status) in [("1", 503), ("0", 200), ("1", 503), ("0", 200), ("1", 503)] {
        lab.filter.set_row("maint", value);
        took.push(lab.wait_for_status(status, &caller, CHANGE_TIMEOUT));
    }
    // One that the other work of the machine did not delay shows what the filter itself takes.
    assert!(took.iter().any(|took| *took < PROMISED), "{took:?}");
    lab.filter.sqlite("DELETE FROM htable_config WHERE key_name = 'maint'");
    lab.wait_for_status(200, &caller, CHANGE_TIMEOUT);
}

#[test]
fn response_follows_a_changed_row() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);

    lab.filter.set_row("maint_reason", "Moved to the Other Site");
    wait::until("the new reason phrase", CHANGE_TIMEOUT, || {
        caller.ask(&caller.invite()).start_line == "SIP/2.0 503 Moved to the Other Site"
    });
}

/// Each statement makes one key unusable. The rest stays as `on` has written it.
#[rstest]
#[case::code_that_accepts("INSERT INTO htable_config (key_name, key_value) VALUES ('maint_code', '200')")]
#[case::reason_with_line_end(
    "INSERT INTO htable_config (key_name, key_value) VALUES ('maint_reason', 'a' || char(13, 10) || 'X: b')"
)]
#[case::retry_after("INSERT INTO htable_config (key_name, key_value) VALUES ('maint_retry_after', 'soon')")]
#[case::two_rows("INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '0')")]
#[case::array("UPDATE htable_config SET key_type = 1 WHERE key_name = 'maint'")]
fn unusable_row_keeps_the_last_good_state_and_is_reported(#[case] sql: &str) {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    lab.filter.sqlite(sql);

    wait_until_degraded(&lab);
    let (_, response) = lab.expect_call_refused(&caller);
    assert_eq!(response.start_line, "SIP/2.0 503 Maintenance");
    assert!(response.header("Retry-After").is_some(), "{response}");
}

#[test]
fn daemon_starts_in_the_state_of_the_row() {
    let lab = Lab::new();
    let caller = lab.caller(Family::V4);
    let mut daemon = lab.start("native");
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);
    daemon.end(Signal::SIGTERM);
    lab.expect_call_accepted(&caller);

    let mut daemon = lab.start("native");
    // Ready means that the policy is applied: the very first call is refused.
    lab.expect_call_refused(&caller);
    lab.filter.run(&["off"]);
    daemon.end(Signal::SIGKILL);
    let _daemon = lab.start("native");
    lab.expect_call_accepted(&caller);
}

#[test]
fn switch_without_a_daemon_writes_the_row_and_says_that_no_daemon_applies_it() {
    let lab = Lab::new();
    lab.filter.run(&["migrate"]);
    let output = lab.filter.output(&["on", "--why", "before the first start"]);
    assert_eq!(output.code, Some(0), "{output:#?}");
    assert!(output.stdout.contains("NOT APPLIED"), "{output:#?}");
    assert_eq!(lab.filter.sqlite("SELECT key_value FROM htable_config WHERE key_name = 'maint'").trim(), "1");

    let _daemon = lab.start("native");
    lab.expect_call_refused(&lab.caller(Family::V4));
}

#[rstest]
#[case::removed(|lab: &Lab| fs::remove_file(lab.filter.database()).unwrap())]
#[case::replaced(|lab: &Lab| {
    let (other, database) = (lab.filter.dir().join("other"), lab.filter.database());
    fs::write(&other, "this is no database").unwrap();
    // SQLite would restore the database from the write-ahead log.
    fs::remove_file(database.with_extension("db-wal")).unwrap();
    fs::rename(other, database).unwrap();
})]
fn lost_database_changes_nothing_but_is_reported(#[case] lose: fn(&Lab)) {
    let lab = Lab::new();
    let caller = lab.caller(Family::V4);
    let mut daemon = lab.start("native");
    lab.filter.run(&["on"]);
    lose(&lab);

    wait_until_degraded(&lab);
    lab.expect_call_refused(&caller);
    assert!(daemon.is_running());
}

#[test]
fn daemon_without_its_database_starts_with_the_state_of_the_last_one() {
    let lab = Lab::new();
    let caller = lab.caller(Family::V4);
    let mut daemon = lab.start("native");
    lab.filter.run(&["on"]);
    daemon.end(Signal::SIGTERM);
    let text = "this is no database any more, and it is longer than its header was";
    fs::write(lab.filter.database(), text).unwrap();

    let _daemon = lab.start("native");
    lab.expect_call_refused(&caller);
}

#[test]
fn daemon_does_not_start_on_a_newer_schema() {
    let lab = Lab::new();
    lab.filter.run(&["migrate"]);
    lab.filter.sqlite(
        "INSERT INTO sip_filter_migration (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', 1, x'00', 0)",
    );
    let output = lab.filter.output(&["run", "--iface", "nic0"]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stderr.contains("9999") && output.stderr.contains("newer"), "{output:#?}");
    assert_eq!(lab.attached_program(), None);
}
