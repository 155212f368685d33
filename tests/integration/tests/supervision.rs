//! The daemon notices that a part of it has failed, whatever its clients do meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::PROXY_INTERFACE;
use nix::sys::signal::Signal;

/// Time within which a failure of the data plane has to be noticed.
const NOTICED: Duration = Duration::from_secs(2);

/// A client of the control socket that asks for one thing after the other by one connection, as no command does.
struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(socket: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).expect("a daemon listens")))
    }

    /// Calls a method and returns the reply; `None` if the daemon has closed the connection.
    fn call(&mut self, method: &str) -> Option<String> {
        let request = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"}}\n");
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        let mut reply = String::new();
        self.0.read_line(&mut reply).ok().filter(|length| *length > 0)?;
        Some(reply)
    }

    /// Asks for `nodes` every 100 ms until the daemon has gone. Returns the number of replies.
    fn ask_for_nodes(mut self) -> usize {
        let mut replies = 0;
        while let Some(reply) = self.call("nodes") {
            assert!(reply.contains("\"result\""), "{reply}");
            replies += 1;
            thread::sleep(Duration::from_millis(100));
        }
        replies
    }
}

#[test]
fn daemon_ends_within_2_s_of_losing_its_interface_while_a_client_asks_for_nodes_every_100_ms() -> Result<()> {
    let mut lab = Lab::new()?;
    lab.shows_log = false;
    let mut daemon = lab.start("native")?;
    let client = Client::connect(&lab.filter.socket());
    let client = thread::spawn(move || client.ask_for_nodes());
    // The client is asking by the time the interface goes.
    thread::sleep(Duration::from_millis(500));

    lab.inside.ip(&format!("link del {PROXY_INTERFACE}"))?;
    wait::until("the daemon to end", NOTICED, || Ok(!daemon.is_running()?))?;
    let log = lab.filter.log();
    assert!(
        log.lines().any(|line| line.starts_with("sip-filter: interface") && line.contains(PROXY_INTERFACE)),
        "{log}"
    );
    let replies = client.join().expect("the client does not panic");
    assert!(replies >= 5, "only {replies} replies before the daemon ended");
    Ok(())
}

#[test]
fn on_after_the_daemon_has_detached_is_never_reported_to_be_in_force() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = lab.start("native")?;
    let mut client = Client::connect(&lab.filter.socket());
    let on = client.call("on").expect("a reply");
    assert!(on.contains("\"result\"") && on.contains("\"maintenance\":true"), "{on}");

    daemon.signal(Signal::SIGTERM)?;
    wait::until("the program to be detached", NOTICED, || Ok(lab.attached()?.is_none()))?;
    // The daemon waits for its responders now.
    if let Some(reply) = client.call("on") {
        assert!(reply.contains("\"error\"") && !reply.contains("\"result\""), "{reply}");
    }
    wait::until("the daemon to end", Duration::from_secs(10), || Ok(!daemon.is_running()?))?;
    Ok(())
}
