//! The metrics, as a monitor scrapes them: they follow what happens, and no client of them harms the daemon.
#![cfg(test)]
#![expect(clippy::float_cmp, reason = "these samples are whole numbers")]

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use filter_common::verdict::Verdict;
use filter_lab::daemon::Daemon;
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{Family, PROXY_INTERFACE};
use nix::sys::signal::Signal;
use rstest::rstest;

const ADDRESS: &str = "127.0.0.1:9464";

/// Time within which an outage must show.
const OUTAGE_TIMEOUT: Duration = Duration::from_secs(5);

#[track_caller]
fn start(lab: &Lab, address: &str) -> Daemon {
    lab.filter.start(&["--iface", PROXY_INTERFACE, "--mode", "native", "--metrics", address])
}

/// Connects to the endpoint from the proxy's host and sends `bytes`.
#[track_caller]
fn send(lab: &Lab, address: &str, bytes: &[u8]) -> TcpStream {
    let connect = || -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(bytes)?;
        Ok(stream)
    };
    lab.inside.run(connect).expect("a connection to the endpoint")
}

/// Sends a request of this method and path, and returns head and body of the reply.
#[track_caller]
fn ask(lab: &Lab, address: &str, method_and_path: &str) -> (String, String) {
    let mut stream = send(lab, address, format!("{method_and_path} HTTP/1.1\r\nHost: lab\r\n\r\n").as_bytes());
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    let (head, body) = reply.split_once("\r\n\r\n").expect("an HTTP reply");
    (head.to_owned(), body.to_owned())
}

#[track_caller]
fn scrape(lab: &Lab) -> String {
    let (head, body) = ask(lab, ADDRESS, "GET /metrics");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
    body
}

/// Returns the value of a sample, by its name with its labels.
#[track_caller]
fn value(metrics: &str, sample: &str) -> f64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("no {sample} in\n{metrics}"));
    value.parse().unwrap_or_else(|_| panic!("{sample} is {value}"))
}

#[test]
fn metrics_show_a_switch_and_a_refused_call() {
    let lab = Lab::new();
    let mut daemon = start(&lab, ADDRESS);
    let caller = lab.caller(Family::V4);
    lab.expect_call_accepted(&caller);
    let before = scrape(&lab);
    assert_eq!(value(&before, "sip_filter_maintenance"), 0.0);
    assert_eq!(value(&before, "sip_filter_packets_total{verdict=\"off\"}"), 1.0);
    for verdict in Verdict::ALL {
        value(&before, &format!("sip_filter_packets_total{{verdict=\"{}\"}}", verdict.name()));
    }

    lab.filter.run(&["on", "--for", "1h"]);
    lab.expect_call_refused(&caller);
    let queue = format!("{{interface=\"{PROXY_INTERFACE}\",queue=\"0\"}}");
    // The caller may have the response before the responder has counted it.
    let counted = wait::until_some("the refused call to be counted", Duration::from_secs(2), || {
        let metrics = scrape(&lab);
        let answered: f64 = metrics
            .lines()
            .filter(|line| line.starts_with("sip_filter_queue_answered_total{"))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum();
        (answered == 1.0).then_some(metrics)
    });
    assert_eq!(value(&counted, "sip_filter_maintenance"), 1.0);
    assert_eq!(value(&counted, "sip_filter_degraded"), 0.0);
    assert_eq!(value(&counted, "sip_filter_packets_total{verdict=\"redirected\"}"), 1.0);
    assert!(value(&counted, &format!("sip_filter_queue_lease_seconds{queue}")) > 0.0);
    assert!(value(&counted, "sip_filter_policy_until_timestamp_seconds") > 1.7e9);
    assert_eq!(value(&counted, "sip_filter_database_up"), 1.0);

    lab.filter.run(&["off"]);
    assert_eq!(value(&scrape(&lab), "sip_filter_maintenance"), 0.0);
    assert!(daemon.end(Signal::SIGTERM).success());
    // A daemon that starts at once gets the port, although the kernel still knows connections of the old one.
    let _daemon = start(&lab, ADDRESS);
    scrape(&lab);
}

#[test]
fn metrics_show_a_lost_database_within_five_seconds() {
    let lab = Lab::new();
    let _daemon = start(&lab, ADDRESS);
    lab.filter.run(&["on"]);
    assert_eq!(value(&scrape(&lab), "sip_filter_alarm{kind=\"database\"}"), 0.0);

    let (other, database) = (lab.filter.dir().join("other"), lab.filter.database());
    fs::write(&other, "this is no database").unwrap();
    // SQLite would restore the database from the write-ahead log.
    fs::remove_file(database.with_extension("db-wal")).unwrap();
    fs::rename(other, database).unwrap();
    let lost = wait::until_some("the outage to show", OUTAGE_TIMEOUT, || {
        let metrics = scrape(&lab);
        (value(&metrics, "sip_filter_database_up") == 0.0).then_some(metrics)
    });
    assert_eq!(value(&lost, "sip_filter_alarm{kind=\"database\"}"), 1.0);
    assert_eq!(value(&lost, "sip_filter_degraded"), 1.0);
    assert_eq!(value(&lost, "sip_filter_maintenance"), 1.0, "the last known state holds");
}

#[test]
fn misbehaving_clients_disturb_neither_a_scrape_nor_a_switch() {
    let lab = Lab::new();
    let mut daemon = start(&lab, ADDRESS);
    let caller = lab.caller(Family::V4);
    let mut clients = Vec::new();
    for bytes in [&b""[..], b"GET /metrics HTTP/1.1\r\nHost: ", b"\x16\x03\x01\x02\x00garbage\r\n\r\n", &[b'x'; 4000]] {
        for _ in 0..20 {
            clients.push(send(&lab, ADDRESS, bytes));
        }
    }
    assert_eq!(value(&scrape(&lab), "sip_filter_maintenance"), 0.0);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);
    assert_eq!(value(&scrape(&lab), "sip_filter_maintenance"), 1.0);

    let (head, _) = ask(&lab, ADDRESS, "GET /other");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let (head, _) = ask(&lab, ADDRESS, "POST /metrics");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.to_lowercase().contains("allow: get, head"), "{head}");
    let (_, body) = ask(&lab, ADDRESS, "GET /");
    assert!(body.contains("/metrics") && body.lines().count() == 1, "{body}");

    // No connection stays open, whether its client sends something or not.
    for client in &mut clients {
        let ended = io::copy(client, &mut io::sink());
        let timed_out = ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(!timed_out, "a connection is open after ten seconds");
    }
    assert!(daemon.is_running());
}

#[test]
fn metrics_address_may_be_ipv6_and_in_the_configuration_file() {
    let lab = Lab::new();
    let config = format!("[run]\niface = [\"{PROXY_INTERFACE}\"]\nmetrics = \"[::1]:9465\"\n");
    fs::write(lab.filter.config(), config).unwrap();
    let _daemon = lab.filter.start(&[]);
    let (_, body) = ask(&lab, "[::1]:9465", "GET /metrics");
    value(&body, "sip_filter_maintenance");
}

#[rstest]
#[case::without_a_port("127.0.0.1", 2, &["--metrics"])]
#[case::a_name("localhost:9464", 2, &["--metrics"])]
#[case::in_use(ADDRESS, 1, &["127.0.0.1:9464", "in use"])]
#[case::of_another_host("198.51.100.1:9464", 1, &["198.51.100.1:9464", "ip address"])]
fn unusable_metrics_address_is_reported_before_anything_is_attached(
    #[case] address: &str,
    #[case] code: i32,
    #[case] facts: &[&str],
) {
    let lab = Lab::new();
    let _taken = lab.inside.run(|| TcpListener::bind(ADDRESS)).unwrap();
    let output = lab.filter.output(&["run", "--iface", PROXY_INTERFACE, "--metrics", address]);
    assert_eq!(output.code, Some(code), "{output:#?}");
    for fact in facts {
        assert!(output.stderr.contains(fact), "no {fact:?} in {output:#?}");
    }
    assert_eq!(lab.attached_program(), None);
}
