//! The health of the daemon, as it says itself: alarms, exit status, members of bonds.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::failure::OrFail as _;
use crate::lab::Lab;
use crate::wait;

/// Exit status of a command that worked, and reports that the daemon is degraded.
const DEGRADED: i32 = 3;

/// Time for what has to happen within a second or two, on an emulated CPU, which is some twenty times slower.
pub(super) const SOON: Duration = Duration::from_secs(4);

/// Switches maintenance on, also if the answer is that not all calls are refused.
///
/// # Panics
///
/// Panics if the command fails.
#[track_caller]
pub(super) fn switch_on(lab: &Lab) {
    let output = lab.filter.output(&["on"]);
    assert!(matches!(output.code, Some(0 | DEGRADED)), "`sip-filter on` failed: {output:#?}");
}

/// Waits for an alarm whose text has all of `words`, and checks that `status` ends with status 3.
///
/// # Panics
///
/// Panics if there is none soon.
#[track_caller]
pub(super) fn expect_alarm(lab: &Lab, words: &[&str]) {
    wait::until(format_args!("an alarm with {words:?}; {}", lab.filter.status()["alarms"]), SOON, || {
        has_alarm(lab, words)
    });
    let status = lab.filter.output(&["status"]);
    assert!(status.code == Some(DEGRADED), "`sip-filter status` does not end with {DEGRADED}: {status:#?}");
}

/// Waits until there is no alarm whose text has all of `words`.
///
/// # Panics
///
/// Panics if there is still one after some seconds.
#[track_caller]
pub(super) fn expect_no_alarm(lab: &Lab, words: &[&str]) {
    wait::until(format_args!("the alarm with {words:?} to end"), SOON, || !has_alarm(lab, words));
}

fn has_alarm(lab: &Lab, words: &[&str]) -> bool {
    let status = lab.filter.status();
    let alarms = status["alarms"].as_array().or_fail(format_args!("no alarms in {status}"));
    let has_all = |text: &str| words.iter().all(|word| text.contains(word));
    alarms.iter().filter_map(|alarm| alarm["text"].as_str()).any(has_all)
}

/// Returns the interfaces in `status`, each with its bond if it has one.
fn interfaces(status: &Value) -> BTreeSet<(String, Option<String>)> {
    let interfaces = status["interfaces"].as_array().or_fail(format_args!("no interfaces in {status}"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    interfaces
        .iter()
        .map(|interface| (text(&interface["name"]).unwrap_or_default(), text(&interface["bond"])))
        .collect()
}

/// Waits until `status` has these members of `bond` and no other interface, and checks that it names the bond with each
/// of them in the text for people too.
///
/// # Panics
///
/// Panics if it has others after some seconds.
#[track_caller]
pub(super) fn expect_members(lab: &Lab, bond: &str, members: &[&str]) {
    let expected = members.iter().map(|member| ((*member).to_owned(), Some(bond.to_owned()))).collect();
    wait::until(format_args!("`status` to have the members {members:?} of {bond}"), SOON, || {
        interfaces(&lab.filter.status()) == expected
    });
    let text = lab.filter.output(&["status"]).stdout;
    for member in members {
        assert!(text.contains(&format!("{member} ({bond})")), "`status` does not name the bond of {member}:\n{text}");
    }
}

/// Returns the number of requests that the queues of an interface have answered.
#[track_caller]
pub(super) fn answered_on(lab: &Lab, interface: &str) -> u64 {
    let status = lab.filter.status();
    let interfaces = status["interfaces"].as_array().or_fail(format_args!("no interfaces in {status}"));
    let queues =
        interfaces.iter().filter(|found| found["name"] == interface).filter_map(|found| found["queues"].as_array());
    queues.flatten().filter_map(|queue| queue["answered"].as_u64()).sum()
}
