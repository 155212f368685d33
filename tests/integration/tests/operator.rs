//! The operator's view: the policy in force and its reason, the interfaces, and the log of refused calls.
#![cfg(test)]

use std::time::Duration;

use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{Family, PROXY_INTERFACE};

/// Time within which a refused call must be in the log, or in the count of calls that were left out.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

#[test]
fn status_shows_what_is_in_force_where_by_whom_and_why() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let output = lab.filter.run(&["on", "--reason", "Back Soon", "--why", "new kernel"]);
    assert!(output.contains("503 Back Soon"), "{output}");

    let status = lab.filter.run(&["status"]);
    for word in ["503 Back Soon", "new kernel", "root", PROXY_INTERFACE, "native"] {
        assert!(status.contains(word), "no {word:?} in\n{status}");
    }
    lab.filter.run(&["off", "--why", "kernel is new"]);
    let status = lab.filter.run(&["status"]);
    assert!(status.contains("kernel is new") && !status.contains("new kernel"), "{status}");
}

#[test]
fn refused_call_is_logged_with_call_id_method_and_source() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    let (invite, _) = lab.expect_call_refused(&caller);

    let facts = [invite.header("Call-ID").to_owned(), "INVITE".to_owned(), caller.local().to_string()];
    wait::until("the refused call in the log", LOG_TIMEOUT, || {
        lab.filter.log().lines().any(|line| facts.iter().all(|fact| line.contains(fact)))
    });
}

#[test]
fn flood_of_refused_calls_is_logged_in_part_and_the_rest_counted() {
    const CALLS: usize = 500;
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    let before = lab.filter.log().len();
    for _ in 0..CALLS {
        caller.expect(&caller.invite(), 503);
    }
    let mut lines = 0;
    wait::until("all refused calls in the log or counted there", LOG_TIMEOUT, || {
        let log = lab.filter.log();
        let (logged, others): (Vec<_>, Vec<_>) =
            log.get(before..).unwrap_or_default().lines().partition(|line| line.contains("Call-ID"));
        // A line without a Call-ID has the number of calls that were left out of the log since the last such line.
        let left_out = others.iter().filter_map(|line| line.split(' ').find_map(|word| word.parse::<usize>().ok()));
        lines = logged.len();
        lines + left_out.sum::<usize>() == CALLS
    });
    assert!((1..200).contains(&lines), "{lines} lines for {CALLS} calls");
}

#[test]
fn migrate_creates_the_database_and_changes_nothing_the_second_time() {
    let lab = Lab::new();
    assert!(!lab.filter.database().exists());
    lab.filter.run(&["migrate"]);
    let tables = lab.filter.sqlite(".schema");
    assert!(tables.contains("htable_config"), "{tables}");
    lab.filter.run(&["migrate"]);
    assert_eq!(lab.filter.sqlite(".schema"), tables);
}

#[test]
fn rows_of_kamailio_are_not_changed() {
    let lab = Lab::new();
    lab.filter.run(&["migrate"]);
    lab.filter.sqlite("INSERT INTO htable_config (key_name, value_type, key_value) VALUES ('limit', 1, '30')");
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    lab.filter.run(&["off"]);
    let row = lab.filter.sqlite("SELECT key_type, value_type, key_value FROM htable_config WHERE key_name = 'limit'");
    assert_eq!(row.trim(), "0|1|30");
}
