//! Tests of the parts together: real keeper, SQLite file, control socket, metrics server and Kamailio sync, with a fake
//! data plane and a fake Kamailio. One part is killed, or fails.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::super::fake_kamailio::{FakeKamailio, Request};
use super::super::fake_plane::FakePlane;
use super::super::parts::Components;
use super::super::plane::Plane;
use super::super::supervisor::Supervisor;
use super::super::{Error, SHUTDOWN_TIMEOUT, UnexpectedEnd};
use super::run_settings;
use crate::config::{RunOptions, Settings};
use crate::sync::Keeper;

/// Far longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Time within which a failure of the data plane has to be noticed.
const NOTICED: Duration = Duration::from_secs(2);

/// The parts of a daemon.
struct Daemon {
    _directory: TempDir,
    socket: PathBuf,
    metrics: SocketAddr,
    supervisor: Supervisor,
    /// The fake, and the handle that the parts have.
    fake: FakePlane,
    plane: Plane,
    /// Requests that the fake Kamailio has replied to.
    kamailio: mpsc::UnboundedReceiver<Request>,
}

impl Daemon {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let path = |name| directory.path().join(name);
        let settings = Settings::for_test(directory.path());
        let socket = settings.socket.clone();
        let options = run_settings(RunOptions {
            kamailio: Some(format!("unix:{}", path("rpc.sock").display()).parse().unwrap()),
            ..RunOptions::default()
        });
        let kamailio = fake_kamailio(&path("rpc.sock"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let metrics = listener.local_addr().unwrap();
        let keeper = Keeper::prepare(&settings, &options.interfaces()).await.unwrap();
        let fake = FakePlane::default();
        let plane = Plane::from_backend(fake.clone());
        let kamailio_replies = path("control.sock.kamailio");
        let (metrics_listener, plane_handle) = (Some(listener), plane.clone());
        let components =
            Components { settings, options, keeper, plane: plane_handle, metrics: metrics_listener, kamailio_replies };
        let mut supervisor = Supervisor::default();
        components.start(UnixListener::bind(&socket).unwrap(), &mut supervisor);
        Self { _directory: directory, socket, metrics, supervisor, fake, plane, kamailio }
    }

    async fn connect(&self) -> Client {
        Client(BufReader::new(UnixStream::connect(&self.socket).await.unwrap()))
    }

    /// Waits for the error with which the daemon ends.
    async fn failure(&mut self) -> Error {
        timeout(TIMEOUT, self.supervisor.failure()).await.expect("the end of a part is noticed")
    }

    /// Waits for `work` while the supervisor runs. No essential part may end meanwhile.
    async fn supervise<T>(supervisor: &mut Supervisor, work: impl Future<Output = T>) -> T {
        tokio::select! {
            error = supervisor.failure() => panic!("the daemon ends: {error}"),
            done = timeout(TIMEOUT, work) => done.expect("done within the timeout"),
        }
    }
}

/// A client of the control socket.
struct Client(BufReader<UnixStream>);

impl Client {
    /// Calls a method and returns the reply; `None` if the connection is closed.
    async fn call(&mut self, method: &str) -> Option<Value> {
        let request = format!("{}\n", json!({"jsonrpc": "2.0", "id": 1, "method": method}));
        let mut reply = String::new();
        self.0.write_all(request.as_bytes()).await.ok()?;
        match self.0.read_line(&mut reply).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&reply).unwrap()),
        }
    }
}

/// Starts a Kamailio, and returns the requests that it has replied to.
fn fake_kamailio(path: &Path) -> mpsc::UnboundedReceiver<Request> {
    let mut kamailio = FakeKamailio::bind(path);
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let request = kamailio.receive().await;
            kamailio.reply(&request).await;
            let _ = sender.send(request);
        }
    });
    requests
}

/// Waits until the fake Kamailio has set its flag.
async fn flag_set(requests: &mut mpsc::UnboundedReceiver<Request>) {
    while !requests.recv().await.expect("the fake Kamailio runs").sets_flag() {}
}

async fn scrape(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}

#[tokio::test]
async fn dead_responder_is_noticed_within_2_s_while_a_client_asks_for_nodes_all_the_time() {
    let mut daemon = Daemon::start().await;
    let mut client = daemon.connect().await;
    let (replied, mut replies) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while client.call("nodes").await.is_some() && replied.send(()).is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let first_replies = async {
        for _ in 0..5 {
            replies.recv().await.expect("the client goes on");
        }
    };
    Daemon::supervise(&mut daemon.supervisor, first_replies).await;

    daemon.fake.fail();
    let start = Instant::now();
    let error = daemon.failure().await;
    assert!(start.elapsed() <= NOTICED, "noticed after {:?}", start.elapsed());
    assert_eq!(error.to_string(), "interface eth0, queue 3: its responder has stopped: it panicked");
}

#[tokio::test]
async fn dead_responder_is_not_forgotten_while_the_daemon_is_busy_otherwise() {
    let mut daemon = Daemon::start().await;
    daemon.fake.fail();
    // Nothing waits for the supervisor meanwhile.
    sleep(NOTICED).await;
    assert!(daemon.failure().await.to_string().contains("queue 3"));
}

#[rstest::rstest]
#[case::keeper("keeper")]
#[case::control_server("control server")]
#[case::data_plane_watch("data plane watch")]
#[tokio::test]
async fn daemon_ends_with_the_name_of_an_essential_part_that_dies(#[case] name: &str) {
    let mut daemon = Daemon::start().await;
    daemon.supervisor.kill(name);
    let error = daemon.failure().await;
    assert!(matches!(&error, Error::Part { part, end: UnexpectedEnd::Aborted } if *part == name), "{error}");
    assert!(error.to_string().contains(name), "{error}");
}

#[tokio::test]
async fn metrics_server_that_dies_is_started_again_on_its_port() {
    let mut daemon = Daemon::start().await;
    let address = daemon.metrics;
    let before = Daemon::supervise(&mut daemon.supervisor, scrape(address)).await.unwrap();
    assert!(before.starts_with("HTTP/1.1 200 "), "{before}");
    daemon.supervisor.kill("metrics server");
    // A connection of the old server may still be closed; the kernel queues the others for the new one.
    let served = async { while !scrape(address).await.is_ok_and(|response| response.starts_with("HTTP/1.1 200 ")) {} };
    Daemon::supervise(&mut daemon.supervisor, served).await;
}

#[tokio::test]
async fn kamailio_sync_that_dies_is_started_again_and_sets_the_flag_again() {
    let mut daemon = Daemon::start().await;
    Daemon::supervise(&mut daemon.supervisor, flag_set(&mut daemon.kamailio)).await;
    daemon.supervisor.kill("Kamailio sync");
    Daemon::supervise(&mut daemon.supervisor, flag_set(&mut daemon.kamailio)).await;

    let mut client = daemon.connect().await;
    let switched = Daemon::supervise(&mut daemon.supervisor, client.call("on")).await.unwrap();
    assert_eq!(switched["result"]["policy"]["maintenance"], true, "{switched}");
    Daemon::supervise(&mut daemon.supervisor, flag_set(&mut daemon.kamailio)).await;
}

#[tokio::test]
async fn panic_while_a_client_is_served_costs_that_client_its_connection_and_no_other() {
    let mut daemon = Daemon::start().await;
    let (mut unlucky, mut other) = (daemon.connect().await, daemon.connect().await);
    assert!(other.call("nodes").await.is_some());
    daemon.fake.panic_at_next_status();
    assert_eq!(unlucky.call("status").await, None);
    let reply = Daemon::supervise(&mut daemon.supervisor, other.call("status")).await.unwrap();
    assert_eq!(reply["result"]["policy"]["maintenance"], false, "{reply}");
}

#[tokio::test]
async fn switch_does_not_wait_for_a_status_or_a_scrape_that_hangs() {
    let daemon = Daemon::start().await;
    let (mut slow, mut client) = (daemon.connect().await, daemon.connect().await);
    let fake = daemon.fake.clone();
    let (locked, is_locked) = oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let hanging = std::thread::spawn(move || {
        let _guard = fake.hang_status();
        locked.send(()).unwrap();
        released.recv().unwrap();
    });
    is_locked.await.unwrap();
    let status = tokio::spawn(async move { slow.call("status").await });
    let scrape = tokio::spawn(scrape(daemon.metrics));

    let switched = timeout(TIMEOUT, client.call("on")).await.expect("the switch does not wait").unwrap();
    assert_eq!(switched["result"]["policy"]["maintenance"], true, "{switched}");
    assert!(!status.is_finished() && !scrape.is_finished());
    release.send(()).unwrap();
    hanging.join().unwrap();
    assert!(status.await.unwrap().is_some());
}

#[tokio::test]
async fn on_is_rejected_once_the_data_plane_is_detached() {
    let daemon = Daemon::start().await;
    let mut client = daemon.connect().await;
    let on = client.call("on").await.unwrap();
    assert_eq!(on["result"]["policy"]["maintenance"], true, "{on}");
    let off = client.call("off").await.unwrap();
    assert_eq!(off["result"]["policy"]["maintenance"], false, "{off}");

    daemon.plane.stop().await.unwrap();
    let reply = client.call("on").await.unwrap();
    assert!(reply["result"].is_null(), "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("detached"), "{reply}");
    let applied: Vec<bool> = daemon.fake.policies().iter().map(|policy| policy.maintenance).collect();
    assert_eq!(applied, [true, false]);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_idle_clients_and_removes_the_socket_for_kamailio() {
    let mut daemon = Daemon::start().await;
    Daemon::supervise(&mut daemon.supervisor, flag_set(&mut daemon.kamailio)).await;
    let mut client = daemon.connect().await;
    assert!(client.call("nodes").await.is_some());
    daemon.plane.stop().await.unwrap();
    let start = Instant::now();
    daemon.supervisor.shut_down(TIMEOUT).await;
    assert!(start.elapsed() < SHUTDOWN_TIMEOUT, "it took {:?}", start.elapsed());
    assert!(!daemon.socket.with_extension("sock.kamailio").exists());
    assert_eq!(client.call("nodes").await, None);
}
