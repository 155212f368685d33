//! Failures of the daemon's parts: they are noticed whatever clients do, and no reply claims more than is true.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::PROXY_INTERFACE;
use nix::sys::signal::Signal;

/// Time within which a failure of the data plane must be noticed.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time that a clean end may take.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of the control socket that sends all its requests by one connection, as no command does.
struct Client(BufReader<UnixStream>);

impl Client {
    #[track_caller]
    fn connect(socket: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).expect("connect to the daemon")))
    }

    /// Calls a method and returns the reply, or `None` if the daemon has closed the connection.
    fn call(&mut self, method: &str) -> Option<String> {
        let request = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"}}\n");
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        let mut reply = String::new();
        self.0.read_line(&mut reply).ok().filter(|length| *length > 0)?;
        Some(reply)
    }

    /// Sends the request `nodes` every 100 ms, more often than a person or `on --wait` does, until the daemon has
    /// ended. Counts the replies.
    fn ask_for_nodes(mut self, replies: &AtomicUsize) {
        while let Some(reply) = self.call("nodes") {
            assert!(reply.contains("\"result\""), "{reply}");
            replies.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn daemon_ends_within_2_s_of_losing_its_interface_while_a_client_asks_for_nodes_every_100_ms() {
    let mut lab = Lab::new();
    lab.shows_log = false;
    let mut daemon = lab.start("native");
    let client = Client::connect(&lab.filter.socket());
    let replies = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| client.ask_for_nodes(&replies));
        wait::until("the client to have replies", END_TIMEOUT, || replies.load(Ordering::Relaxed) >= 5);
        lab.inside.ip(&format!("link del {PROXY_INTERFACE}"));
        wait::until("the daemon to end", FAILURE_TIMEOUT, || !daemon.is_running());
    });
    let log = lab.filter.log();
    assert!(
        log.lines().any(|line| line.starts_with("sip-filter: interface") && line.contains(PROXY_INTERFACE)),
        "{log}"
    );
}

#[test]
fn on_after_the_daemon_has_detached_is_never_reported_to_be_in_force() {
    let lab = Lab::new();
    let mut daemon = lab.start("native");
    let mut client = Client::connect(&lab.filter.socket());
    let on = client.call("on").expect("a reply");
    assert!(on.contains("\"result\"") && on.contains("\"maintenance\":true"), "{on}");

    daemon.signal(Signal::SIGTERM);
    wait::until("the program to be detached", FAILURE_TIMEOUT, || lab.attached_program().is_none());
    // The daemon waits for its responders now.
    if let Some(reply) = client.call("on") {
        assert!(reply.contains("\"error\"") && !reply.contains("\"result\""), "{reply}");
    }
    wait::until("the daemon to end", END_TIMEOUT, || !daemon.is_running());
}
