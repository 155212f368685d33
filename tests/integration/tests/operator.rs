//! What an operator sees: what is in force and why, where the filter sits, and which calls it refused.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use filter_lab::lab::Lab;
use filter_lab::wire::{Family, PROXY_INTERFACE};

#[test]
fn status_says_what_is_in_force_where_by_whom_and_why() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let said = lab.filter.done(&["on", "--reason", "Back Soon", "--why", "new kernel"])?;
    assert!(said.contains("503 Back Soon"), "{said}");

    let status = lab.filter.done(&["status"])?;
    for word in ["503 Back Soon", "new kernel", "root", PROXY_INTERFACE, "native"] {
        assert!(status.contains(word), "no {word:?} in\n{status}");
    }
    lab.filter.done(&["off", "--why", "kernel is new"])?;
    let status = lab.filter.done(&["status"])?;
    assert!(status.contains("kernel is new") && !status.contains("new kernel"), "{status}");
    Ok(())
}

#[test]
fn a_refused_call_is_in_the_log() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    let (invite, _) = lab.is_refused(&caller)?;

    let call_id = invite.header("Call-ID");
    filter_lab::wait::until("the refused call in the log", Duration::from_secs(2), || {
        Ok(lab.filter.log().lines().any(|line| {
            line.contains(&format!("Call-ID {call_id}"))
                && line.contains("method INVITE")
                && line.contains(&format!("source {}", caller.local()))
        }))
    })?;
    Ok(())
}

#[test]
fn a_flood_of_calls_does_not_flood_the_log() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    for _ in 0..500 {
        caller.expect(&caller.invite(), 503)?;
    }
    // The count of what was left out comes with the next second's lines.
    thread::sleep(Duration::from_millis(1500));
    let log = lab.filter.log();
    let lines = log.lines().filter(|line| line.contains("Call-ID")).count();
    assert!((1..200).contains(&lines), "{lines} lines for 500 calls");
    assert!(log.contains("more, not logged"), "no count of what was left out");
    Ok(())
}

#[test]
fn migrate_makes_the_database_and_does_nothing_twice() -> Result<()> {
    let lab = Lab::new()?;
    assert!(!lab.filter.database().exists());
    lab.filter.done(&["migrate"])?;
    let tables = lab.filter.sqlite(".schema")?;
    assert!(tables.contains("htable_config"), "{tables}");
    lab.filter.done(&["migrate"])?;
    assert_eq!(lab.filter.sqlite(".schema")?, tables);
    Ok(())
}

#[test]
fn rows_of_kamailio_are_left_as_they_are() -> Result<()> {
    let lab = Lab::new()?;
    lab.filter.done(&["migrate"])?;
    lab.filter.sqlite("INSERT INTO htable_config (key_name, value_type, key_value) VALUES ('limit', 1, '30')")?;
    let _daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    lab.filter.done(&["off"])?;
    let row =
        lab.filter.sqlite("SELECT key_type, value_type, key_value FROM htable_config WHERE key_name = 'limit'")?;
    assert_eq!(row.trim(), "0|1|30");
    Ok(())
}
