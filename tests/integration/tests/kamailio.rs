//! A real Kamailio behind the filter: Kamailio refuses what comes over TCP, which never passes XDP.
#![cfg(test)]

use std::time::{Duration, Instant};

use filter_lab::daemon::Daemon;
use filter_lab::kamailio::{Kamailio, Options, ask_by_tcp};
use filter_lab::lab::Lab;
use filter_lab::request::Request;
use filter_lab::wait;
use filter_lab::wire::{End, Family, PROXY_INTERFACE};
use serde_json::json;

/// Time within which Kamailio must have the flag, or an alarm must be raised, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(5);

fn kamailio(lab: &Lab, options: &Options) -> Kamailio {
    Kamailio::new(&lab.inside, lab.proxy(Family::V4), options)
}

#[track_caller]
fn start(lab: &Lab, kamailio: &Kamailio) -> Daemon {
    let socket = format!("unix:{}", kamailio.socket().display());
    lab.filter.start(&["--iface", PROXY_INTERFACE, "--kamailio", &socket])
}

/// Sends an INVITE over TCP and returns the status of the response.
#[track_caller]
fn invite(lab: &Lab, is_in_dialog: bool) -> Option<u16> {
    let proxy = lab.proxy(Family::V4);
    let mut request = Request::invite((End::Caller.address(Family::V4), 5070).into(), proxy);
    request.set("Via", &request.header("Via").replace("/UDP", "/TCP"));
    if is_in_dialog {
        request.set("To", &format!("{};tag=theirs", request.header("To")));
    }
    ask_by_tcp(&lab.outside, proxy, &request.to_string()).status()
}

fn has_alarm(lab: &Lab, kind: &str) -> bool {
    lab.filter.alarms().iter().any(|alarm| alarm == kind)
}

#[test]
fn call_over_tcp_gets_the_503_of_kamailio_when_on_has_returned() {
    let lab = Lab::without_server();
    let mut kamailio = kamailio(&lab, &Options::default());
    kamailio.start();
    let _daemon = start(&lab, &kamailio);
    for _ in 0..3 {
        lab.filter.run(&["on"]);
        assert_eq!((invite(&lab, false), invite(&lab, true)), (Some(503), Some(200)));
        lab.filter.run(&["off"]);
        assert_eq!((invite(&lab, false), invite(&lab, true)), (Some(200), Some(200)));
    }
    let status = lab.filter.status();
    assert_eq!((&status["kamailio"]["state"], &status["degraded"]), (&json!("in_step"), &json!(false)), "{status}");
    let shown = lab.filter.run(&["status"]);
    assert!(shown.contains(&kamailio.socket().display().to_string()), "{shown}");
}

#[test]
fn unreachable_kamailio_does_not_delay_a_switch_and_gets_the_flag_when_it_starts() {
    let lab = Lab::without_server();
    let mut kamailio = kamailio(&lab, &Options::default());
    let _daemon = start(&lab, &kamailio);
    let begin = Instant::now();
    // Works, but degraded, if the alarm is already raised.
    let on = lab.filter.output(&["on"]);
    assert!(matches!(on.code, Some(0 | 3)), "{on:#?}");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    wait::until("the alarm", TIMEOUT, || has_alarm(&lab, "kamailio"));

    kamailio.start();
    wait::until("the end of the alarm", TIMEOUT, || !has_alarm(&lab, "kamailio"));
    assert_eq!(invite(&lab, false), Some(503));
}

#[test]
fn kamailio_that_restarts_gets_the_flag_again() {
    let lab = Lab::without_server();
    let mut kamailio = kamailio(&lab, &Options::default());
    kamailio.start();
    let _daemon = start(&lab, &kamailio);
    lab.filter.run(&["on"]);
    kamailio.stop();
    kamailio.start();
    wait::until("Kamailio to have the flag again", TIMEOUT, || kamailio.flag() == Some(json!("1")));
    assert_eq!(invite(&lab, false), Some(503));
}

#[test]
fn kamailio_that_rewrites_the_table_raises_an_alarm() {
    let lab = Lab::without_server();
    lab.filter.run(&["migrate"]);
    // Kamailio asks for the version of each table that it reads (srdb1), as its own create scripts write it.
    lab.filter.sqlite(
        "CREATE TABLE version (table_name VARCHAR(32) NOT NULL, table_version INTEGER DEFAULT 0 NOT NULL); \
         INSERT INTO version VALUES ('htable_config', 2)",
    );
    let url = format!("sqlite://{}", lab.filter.database().display());
    let options = Options { htable_db_url: Some(url), dbmode: 1, ..Options::default() };
    let mut kamailio = kamailio(&lab, &options);
    kamailio.start();
    let _daemon = start(&lab, &kamailio);
    wait::until("the alarm", TIMEOUT, || has_alarm(&lab, "kamailio_rewrites"));
    assert!(lab.filter.log().contains("dbmode=0"));
}
