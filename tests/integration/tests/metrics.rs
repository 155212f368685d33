//! The metrics, as a monitor scrapes them: they follow what happens, and no client of theirs harms the daemon.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use filter_common::verdict::Verdict;
use filter_lab::daemon::Daemon;
use filter_lab::lab::Lab;
use filter_lab::wire::{Family, PROXY_INTERFACE};
use nix::sys::signal::Signal;
use rstest::rstest;

const ADDRESS: &str = "127.0.0.1:9464";

/// How soon an outage has to show.
const PROMISED: Duration = Duration::from_secs(5);

fn start(lab: &Lab, address: &str) -> Result<Daemon> {
    lab.filter.start(&["--iface", PROXY_INTERFACE, "--mode", "native", "--metrics", address])
}

/// A connection to the endpoint from the proxy's host, on which `octets` have been sent.
fn send(lab: &Lab, address: &str, octets: &[u8]) -> Result<TcpStream> {
    let connect = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(octets)?;
        Ok(stream)
    };
    lab.inside.run(connect)?.with_context(|| format!("connect to {address}"))
}

/// The head and the body of the answer to a request of this method and path.
fn ask(lab: &Lab, address: &str, what: &str) -> Result<(String, String)> {
    let mut stream = send(lab, address, format!("{what} HTTP/1.1\r\nHost: lab\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP answer: {answer}"))?;
    Ok((head.to_owned(), body.to_owned()))
}

fn scrape(lab: &Lab) -> Result<String> {
    let (head, body) = ask(lab, ADDRESS, "GET /metrics")?;
    ensure!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
    Ok(body)
}

/// The value of a sample, by its name with its labels.
fn value(metrics: &str, sample: &str) -> Result<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.with_context(|| format!("no {sample} in\n{metrics}"))?.parse().with_context(|| format!("value of {sample}"))
}

#[test]
fn a_switch_and_a_refused_call_show() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = start(&lab, ADDRESS)?;
    let caller = lab.caller(Family::V4)?;
    lab.goes_through(&caller)?;
    let before = scrape(&lab)?;
    assert_eq!(value(&before, "sip_filter_maintenance")?, 0.0);
    assert_eq!(value(&before, "sip_filter_packets_total{verdict=\"off\"}")?, 1.0);
    for verdict in Verdict::ALL {
        value(&before, &format!("sip_filter_packets_total{{verdict=\"{}\"}}", verdict.name()))?;
    }

    lab.filter.done(&["on", "--for", "1h"])?;
    lab.is_refused(&caller)?;
    let queue = format!("{{interface=\"{PROXY_INTERFACE}\",queue=\"0\"}}");
    // The caller may have the response before the responder has counted it.
    let counted = filter_lab::wait::for_some("the refused call to be counted", Duration::from_secs(2), || {
        let metrics = scrape(&lab)?;
        let answered: f64 = metrics
            .lines()
            .filter(|line| line.starts_with("sip_filter_queue_answered_total{"))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum();
        Ok((answered == 1.0).then_some(metrics))
    })?;
    assert_eq!(value(&counted, "sip_filter_maintenance")?, 1.0);
    assert_eq!(value(&counted, "sip_filter_degraded")?, 0.0);
    assert_eq!(value(&counted, "sip_filter_packets_total{verdict=\"redirected\"}")?, 1.0);
    assert!(value(&counted, &format!("sip_filter_queue_lease_seconds{queue}"))? > 0.0);
    assert!(value(&counted, "sip_filter_policy_until_timestamp_seconds")? > 1.7e9);
    assert_eq!(value(&counted, "sip_filter_database_up")?, 1.0);

    lab.filter.done(&["off"])?;
    assert_eq!(value(&scrape(&lab)?, "sip_filter_maintenance")?, 0.0);
    assert!(daemon.end(Signal::SIGTERM)?.success());
    // Started again at once: the port is free although connections of the old one are still known to the kernel.
    let _daemon = start(&lab, ADDRESS)?;
    scrape(&lab)?;
    Ok(())
}

#[test]
fn a_lost_database_shows_within_five_seconds() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = start(&lab, ADDRESS)?;
    lab.filter.done(&["on"])?;
    assert_eq!(value(&scrape(&lab)?, "sip_filter_alarm{kind=\"database\"}")?, 0.0);

    let (other, database) = (lab.filter.dir().join("other"), lab.filter.database());
    fs::write(&other, "this is no database")?;
    // The write-ahead log has it all, and SQLite would make the database whole again from it.
    fs::remove_file(database.with_extension("db-wal"))?;
    fs::rename(other, database)?;
    let lost = filter_lab::wait::for_some("the outage to show", PROMISED, || {
        let metrics = scrape(&lab)?;
        Ok((value(&metrics, "sip_filter_database_up")? == 0.0).then_some(metrics))
    })?;
    assert_eq!(value(&lost, "sip_filter_alarm{kind=\"database\"}")?, 1.0);
    assert_eq!(value(&lost, "sip_filter_degraded")?, 1.0);
    assert_eq!(value(&lost, "sip_filter_maintenance")?, 1.0, "the last known state holds");
    Ok(())
}

#[test]
fn strange_clients_disturb_neither_a_scrape_nor_a_switch() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = start(&lab, ADDRESS)?;
    let caller = lab.caller(Family::V4)?;
    let mut strange = Vec::new();
    for octets in [&b""[..], b"GET /metrics HTTP/1.1\r\nHost: ", b"\x16\x03\x01\x02\x00garbage\r\n\r\n", &[b'x'; 4000]]
    {
        for _ in 0..20 {
            strange.push(send(&lab, ADDRESS, octets)?);
        }
    }
    assert_eq!(value(&scrape(&lab)?, "sip_filter_maintenance")?, 0.0);
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;
    assert_eq!(value(&scrape(&lab)?, "sip_filter_maintenance")?, 1.0);

    let (head, _) = ask(&lab, ADDRESS, "GET /other")?;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let (head, _) = ask(&lab, ADDRESS, "POST /metrics")?;
    assert!(head.starts_with("HTTP/1.1 405 ") && head.to_lowercase().contains("allow: get, head"), "{head}");
    let (_, body) = ask(&lab, ADDRESS, "GET /")?;
    assert!(body.contains("/metrics") && body.lines().count() == 1, "{body}");

    // None is served for ever, whether it says something or not.
    for stream in &mut strange {
        let ended = std::io::copy(stream, &mut std::io::sink());
        let timed_out = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "a connection is open after ten seconds");
    }
    assert!(daemon.is_running()?);
    Ok(())
}

#[test]
fn the_address_may_be_of_ipv6_and_in_the_file() -> Result<()> {
    let lab = Lab::new()?;
    fs::write(lab.filter.config(), format!("[run]\niface = [\"{PROXY_INTERFACE}\"]\nmetrics = \"[::1]:9465\"\n"))?;
    let _daemon = lab.filter.start(&[])?;
    let (_, body) = ask(&lab, "[::1]:9465", "GET /metrics")?;
    value(&body, "sip_filter_maintenance")?;
    Ok(())
}

#[rstest]
#[case::without_a_port("127.0.0.1", 2, "--metrics")]
#[case::a_name("localhost:9464", 2, "--metrics")]
#[case::in_use(ADDRESS, 1, "cannot serve metrics at 127.0.0.1:9464")]
#[case::of_another_host("198.51.100.1:9464", 1, "no interface has this address")]
fn an_address_that_cannot_be_is_told_before_anything_is_attached(
    #[case] address: &str,
    #[case] code: i32,
    #[case] message: &str,
) -> Result<()> {
    let lab = Lab::new()?;
    let _taken = lab.inside.run(|| std::net::TcpListener::bind(ADDRESS))??;
    let answer = lab.filter.cli(&["run", "--iface", PROXY_INTERFACE, "--metrics", address])?;
    assert_eq!(answer.code, Some(code), "{answer:#?}");
    assert!(answer.stderr.contains(message), "{answer:#?}");
    assert_eq!(lab.attached()?, None);
    Ok(())
}
