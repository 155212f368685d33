//! A real Kamailio beside the filter: it refuses what comes over TCP, which never passes XDP.

use std::time::{Duration, Instant};

use anyhow::Result;
use filter_lab::daemon::Daemon;
use filter_lab::kamailio::{Kamailio, Options, ask_by_tcp};
use filter_lab::lab::Lab;
use filter_lab::request::Request;
use filter_lab::wait;
use filter_lab::wire::{End, Family, PROXY_INTERFACE};
use serde_json::json;

/// Within which it has to be told, or an alarm raised; and what a busy machine adds.
const SOON: Duration = Duration::from_secs(5);

fn kamailio(lab: &Lab, options: &Options) -> Result<Kamailio> {
    Kamailio::new(&lab.inside, lab.proxy(Family::V4), options)
}

fn start(lab: &Lab, kamailio: &Kamailio) -> Result<Daemon> {
    let socket = format!("unix:{}", kamailio.socket().display());
    lab.filter.start(&["--iface", PROXY_INTERFACE, "--kamailio", &socket])
}

/// The status of an INVITE over TCP; with `tag`, one within a call.
fn invite(lab: &Lab, tag: bool) -> Result<Option<u16>> {
    let proxy = lab.proxy(Family::V4);
    let mut request = Request::invite((End::Caller.address(Family::V4), 5070).into(), proxy);
    request.set("Via", &request.header("Via").replace("/UDP", "/TCP"));
    if tag {
        request.set("To", &format!("{};tag=theirs", request.header("To")));
    }
    Ok(ask_by_tcp(&lab.outside, proxy, &request.to_string())?.status())
}

fn alarm(lab: &Lab, kind: &str) -> Result<bool> {
    let status = lab.filter.status()?;
    Ok(status["alarms"].as_array().is_some_and(|alarms| alarms.iter().any(|alarm| alarm["kind"] == kind)))
}

#[test]
fn a_call_over_tcp_gets_the_503_of_kamailio_when_on_has_returned() -> Result<()> {
    let lab = Lab::without_server()?;
    let mut kamailio = kamailio(&lab, &Options::default())?;
    kamailio.start()?;
    let _daemon = start(&lab, &kamailio)?;
    for _ in 0..3 {
        lab.filter.done(&["on"])?;
        assert_eq!((invite(&lab, false)?, invite(&lab, true)?), (Some(503), Some(200)));
        lab.filter.done(&["off"])?;
        assert_eq!((invite(&lab, false)?, invite(&lab, true)?), (Some(200), Some(200)));
    }
    let status = lab.filter.status()?;
    assert_eq!((&status["kamailio"]["state"], &status["degraded"]), (&json!("in_step"), &json!(false)), "{status}");
    assert!(lab.filter.done(&["status"])?.contains("in step since"));
    Ok(())
}

#[test]
fn a_kamailio_that_is_away_delays_nothing_and_is_told_when_it_comes() -> Result<()> {
    let lab = Lab::without_server()?;
    let mut kamailio = kamailio(&lab, &Options::default())?;
    let _daemon = start(&lab, &kamailio)?;
    let begin = Instant::now();
    lab.filter.done(&["on"])?;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    wait::until("the alarm", SOON, || alarm(&lab, "kamailio"))?;

    kamailio.start()?;
    wait::until("the end of the alarm", SOON, || Ok(!alarm(&lab, "kamailio")?))?;
    assert_eq!(invite(&lab, false)?, Some(503));
    Ok(())
}

#[test]
fn a_kamailio_that_starts_again_is_told_again() -> Result<()> {
    let lab = Lab::without_server()?;
    let mut kamailio = kamailio(&lab, &Options::default())?;
    kamailio.start()?;
    let _daemon = start(&lab, &kamailio)?;
    lab.filter.done(&["on"])?;
    kamailio.stop()?;
    kamailio.start()?;
    wait::until("Kamailio to be told again", SOON, || Ok(kamailio.flag()? == Some(json!("1"))))?;
    assert_eq!(invite(&lab, false)?, Some(503));
    Ok(())
}

#[test]
fn a_kamailio_that_rewrites_the_table_is_an_alarm() -> Result<()> {
    let lab = Lab::without_server()?;
    lab.filter.done(&["migrate"])?;
    // Kamailio asks for the version of each table that it reads (srdb1), as its own create scripts write it.
    lab.filter.sqlite(
        "CREATE TABLE version (table_name VARCHAR(32) NOT NULL, table_version INTEGER DEFAULT 0 NOT NULL); \
         INSERT INTO version VALUES ('htable_config', 2)",
    )?;
    let url = format!("sqlite://{}", lab.filter.database().display());
    let options = Options { htable_db_url: Some(url), dbmode: 1, ..Options::default() };
    let mut kamailio = kamailio(&lab, &options)?;
    kamailio.start()?;
    let _daemon = start(&lab, &kamailio)?;
    wait::until("the alarm", SOON, || alarm(&lab, "kamailio_rewrites"))?;
    assert!(lab.filter.log().contains("give it dbmode=0"));
    Ok(())
}
