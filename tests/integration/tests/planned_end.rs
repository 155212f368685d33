//! The planned end of maintenance: maintenance ends then, and no caller is told to retry later than that.
#![cfg(test)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::Family;

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

#[test]
fn maintenance_ends_at_its_planned_end_and_retry_after_is_never_later() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on", "--retry-after", "600"]);
    let end = unix_time() + 6;
    lab.filter.set_row("maint_until", &end.to_string());
    wait::until("a Retry-After before the end", Duration::from_secs(3), || {
        let (_, refusal) = lab.expect_call_refused(&caller);
        let seconds: u64 = refusal.require("Retry-After").parse().expect("a number of seconds in Retry-After");
        unix_time() + seconds <= end
    });
    lab.wait_for_status(200, &caller, Duration::from_secs(10));
    let now = unix_time();
    assert!(now >= end, "maintenance ended {} s too soon", end - now);
}
