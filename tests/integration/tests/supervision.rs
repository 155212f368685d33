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

/// Time within which a failure of the data plane has to be noticed.
const NOTICED: Duration = Duration::from_secs(2);

/// Asks the daemon for `nodes` every 100 ms, as often as no person and no `on --wait` does, until it has gone.
fn ask_for_nodes(socket: &Path) -> usize {
    let mut stream = UnixStream::connect(socket).expect("a daemon listens");
    let mut replies = BufReader::new(stream.try_clone().expect("a second descriptor of the connection"));
    for asked in 0.. {
        let mut reply = String::new();
        let sent = stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nodes\"}\n");
        if sent.is_err() || replies.read_line(&mut reply).unwrap_or(0) == 0 {
            return asked;
        }
        assert!(reply.contains("\"result\""), "{reply}");
        thread::sleep(Duration::from_millis(100));
    }
    unreachable!("the daemon ends before an integer overflows")
}

#[test]
fn daemon_ends_within_2_s_of_losing_its_interface_while_a_client_asks_for_nodes_every_100_ms() -> Result<()> {
    let mut lab = Lab::new()?;
    lab.shows_log = false;
    let mut daemon = lab.start("native")?;
    let socket = lab.filter.socket();
    let client = thread::spawn(move || ask_for_nodes(&socket));
    // The client has to be asking by the time the interface goes.
    thread::sleep(Duration::from_millis(500));

    lab.inside.ip(&format!("link del {PROXY_INTERFACE}"))?;
    wait::until("the daemon to end", NOTICED, || Ok(!daemon.is_running()?))?;
    let log = lab.filter.log();
    assert!(
        log.lines().any(|line| line.starts_with("sip-filter: interface") && line.contains(PROXY_INTERFACE)),
        "{log}"
    );
    let asked = client.join().expect("the client does not panic");
    assert!(asked >= 5, "only {asked} replies before the daemon ended");
    Ok(())
}
