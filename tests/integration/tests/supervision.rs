//! The daemon notices that a part of it has failed, whatever its clients do meanwhile.
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

/// Time within which a failure of the data plane must be noticed.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends the request `nodes` every 100 ms, more often than a person or `on --wait` does, until the daemon has ended.
/// Counts the replies.
fn ask_for_nodes(socket: &Path, replies: &AtomicUsize) {
    let mut stream = UnixStream::connect(socket).expect("connect to the daemon");
    let mut lines = BufReader::new(stream.try_clone().expect("duplicate the descriptor of the connection"));
    loop {
        let mut reply = String::new();
        let sent = stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nodes\"}\n");
        if sent.is_err() || lines.read_line(&mut reply).unwrap_or(0) == 0 {
            return;
        }
        assert!(reply.contains("\"result\""), "{reply}");
        replies.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn daemon_ends_within_2_s_of_losing_its_interface_while_a_client_asks_for_nodes_every_100_ms() {
    let mut lab = Lab::new();
    lab.shows_log = false;
    let mut daemon = lab.start("native");
    let replies = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| ask_for_nodes(&lab.filter.socket(), &replies));
        wait::until("the client to have replies", Duration::from_secs(10), || replies.load(Ordering::Relaxed) >= 5);
        lab.inside.ip(&format!("link del {PROXY_INTERFACE}"));
        wait::until("the daemon to end", FAILURE_TIMEOUT, || !daemon.is_running());
    });
    let log = lab.filter.log();
    assert!(
        log.lines().any(|line| line.starts_with("sip-filter: interface") && line.contains(PROXY_INTERFACE)),
        "{log}"
    );
}
