//! The database row decides: changed from outside, kept over restarts, and no worse when it cannot be read.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use filter_lab::lab::Lab;
use filter_lab::wire::Family;
use nix::sys::signal::Signal;
use rstest::rstest;

/// How soon a change of the row is in force.
const PROMISED: Duration = Duration::from_millis(100);

/// By when it has to be on a busy test machine.
const IN_FORCE: Duration = Duration::from_secs(2);

/// Writes a row of `htable_config` as an administrator does, by the `sqlite3` tool.
fn set_row(lab: &Lab, key: &str, value: &str) -> Result<()> {
    lab.filter.sqlite(&format!(
        "BEGIN IMMEDIATE; DELETE FROM htable_config WHERE key_name = '{key}'; \
         INSERT INTO htable_config (key_name, key_value) VALUES ('{key}', '{value}'); COMMIT;"
    ))?;
    Ok(())
}

/// Waits until `status` says by its exit status that something is wrong.
fn is_degraded(lab: &Lab) -> Result<()> {
    filter_lab::wait::until("status to say that it is degraded", Duration::from_secs(5), || {
        Ok(lab.filter.cli(&["status"])?.code == Some(3))
    })?;
    Ok(())
}

#[test]
fn a_row_changed_from_outside_is_in_force_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.goes_through(&caller)?;

    let mut took = Vec::new();
    for (value, refused) in [("1", true), ("0", false), ("1", true), ("0", false), ("1", true)] {
        set_row(&lab, "maint", value)?;
        took.push(lab.until_calls_are(refused, &caller, IN_FORCE)?);
    }
    // One that the machine's other work did not hold up shows what the filter itself takes.
    assert!(took.iter().any(|took| *took < PROMISED), "{took:?}");
    lab.filter.sqlite("DELETE FROM htable_config WHERE key_name = 'maint'")?;
    lab.until_calls_are(false, &caller, IN_FORCE)?;
    Ok(())
}

#[test]
fn what_a_refusal_says_follows_the_rows() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;

    set_row(&lab, "maint_reason", "Moved to the Other Site")?;
    filter_lab::wait::until("the new reason phrase", IN_FORCE, || {
        Ok(caller.ask(&caller.invite())?.start_line == "SIP/2.0 503 Moved to the Other Site")
    })?;
    Ok(())
}

/// Each makes one key unusable; the rest stays as `on` has written it.
#[rstest]
#[case::code_that_accepts("INSERT INTO htable_config (key_name, key_value) VALUES ('maint_code', '200')")]
#[case::reason_with_line_end(
    "INSERT INTO htable_config (key_name, key_value) VALUES ('maint_reason', 'a' || char(13, 10) || 'X: b')"
)]
#[case::retry_after("INSERT INTO htable_config (key_name, key_value) VALUES ('maint_retry_after', 'soon')")]
#[case::two_rows("INSERT INTO htable_config (key_name, key_value) VALUES ('maint', '0')")]
#[case::array("UPDATE htable_config SET key_type = 1 WHERE key_name = 'maint'")]
fn an_unusable_row_keeps_the_last_good_state_and_is_told(#[case] sql: &str) -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    lab.filter.sqlite(sql)?;

    is_degraded(&lab)?;
    let (_, response) = lab.is_refused(&caller)?;
    assert_eq!(response.start_line, "SIP/2.0 503 Maintenance");
    assert!(response.header("Retry-After").is_some(), "{response}");
    Ok(())
}

#[test]
fn a_daemon_comes_up_in_the_state_of_the_row() -> Result<()> {
    let lab = Lab::new()?;
    let caller = lab.caller(Family::V4)?;
    let mut daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;
    daemon.end(Signal::SIGTERM)?;
    lab.goes_through(&caller)?;

    let mut daemon = lab.start("native")?;
    // Ready means that the policy is applied: the very first call is refused.
    lab.is_refused(&caller)?;
    lab.filter.done(&["off"])?;
    daemon.end(Signal::SIGKILL)?;
    let _daemon = lab.start("native")?;
    lab.goes_through(&caller)?;
    Ok(())
}

#[test]
fn without_a_daemon_a_switch_writes_the_row_and_says_that_nobody_applies_it() -> Result<()> {
    let lab = Lab::new()?;
    lab.filter.done(&["migrate"])?;
    let answer = lab.filter.cli(&["on", "--why", "before the first start"])?;
    assert_eq!(answer.code, Some(0), "{answer:#?}");
    assert!(format!("{}{}", answer.stdout, answer.stderr).contains("daemon"), "{answer:#?}");
    assert_eq!(lab.filter.sqlite("SELECT key_value FROM htable_config WHERE key_name = 'maint'")?.trim(), "1");

    let _daemon = lab.start("native")?;
    lab.is_refused(&lab.caller(Family::V4)?)?;
    Ok(())
}

#[rstest]
#[case::removed(|lab: &Lab| Ok(fs::remove_file(lab.filter.database())?))]
#[case::replaced(|lab: &Lab| {
    let (other, database) = (lab.filter.dir().join("other"), lab.filter.database());
    fs::write(&other, "this is no database")?;
    // The write-ahead log has it all, and SQLite would make the database whole again from it.
    fs::remove_file(database.with_extension("db-wal"))?;
    Ok(fs::rename(other, database)?)
})]
fn a_lost_database_changes_nothing_but_is_told(#[case] lose: fn(&Lab) -> Result<()>) -> Result<()> {
    let lab = Lab::new()?;
    let caller = lab.caller(Family::V4)?;
    let mut daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    lose(&lab)?;

    is_degraded(&lab)?;
    lab.is_refused(&caller)?;
    assert!(daemon.is_running()?);
    Ok(())
}

#[test]
fn a_daemon_without_its_database_comes_up_in_the_state_it_went_down_in() -> Result<()> {
    let lab = Lab::new()?;
    let caller = lab.caller(Family::V4)?;
    let mut daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    daemon.end(Signal::SIGTERM)?;
    fs::write(lab.filter.database(), "this is no database any more, and it is longer than its header was")?;

    let _daemon = lab.start("native")?;
    lab.is_refused(&caller)?;
    Ok(())
}

#[test]
fn a_newer_schema_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    lab.filter.done(&["migrate"])?;
    lab.filter.sqlite(
        "INSERT INTO sip_filter_migration (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', 1, x'00', 0)",
    )?;
    let answer = lab.filter.cli(&["run", "--iface", "nic0"])?;
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    assert!(answer.stderr.contains("9999") && answer.stderr.contains("newer"), "{answer:#?}");
    assert_eq!(lab.attached()?, None);
    Ok(())
}
