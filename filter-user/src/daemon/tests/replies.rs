//! Tests of the daemon's replies, without a data plane.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::super::plane::Plane;
use super::super::service::Control;
use super::run_settings;
use crate::config::{RunOptions, Settings};
use crate::control::{ControlSocket, serve};
use crate::store::sqlite3;
use crate::sync::Keeper;
use crate::user;

/// A daemon that listens on a control socket.
pub(super) struct Daemon {
    _directory: TempDir,
    _socket: ControlSocket,
    path: PathBuf,
    database: PathBuf,
}

impl Daemon {
    pub(super) async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let settings = Settings::for_test(directory.path());
        let (path, database) = (settings.socket.clone(), directory.path().join("sip-filter.db"));
        let options = run_settings(RunOptions::default());
        let keeper = Keeper::prepare(&settings, &["eth0".into()]).await.unwrap();
        let (commands, receiver) = mpsc::channel(4);
        let (publish, snapshot) = watch::channel(keeper.snapshot());
        let plane = Plane::none();
        let control = Control::new(settings, options, commands, snapshot, plane.clone(), None);
        tokio::spawn(keeper.run(plane, receiver, publish, CancellationToken::new()));
        let socket = ControlSocket::claim(&path).unwrap();
        let listener = UnixListener::from_std(socket.listen().unwrap()).unwrap();
        tokio::spawn(serve(listener, Arc::new(control), CancellationToken::new()));
        Self { _directory: directory, _socket: socket, path, database }
    }

    /// Sends a request object and returns the reply object.
    pub(super) async fn exchange(&self, request: Value) -> Value {
        let stream = UnixStream::connect(&self.path).unwrap();
        spawn_blocking(move || {
            writeln!(&stream, "{request}").unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).unwrap();
            serde_json::from_str(&line).unwrap()
        })
        .await
        .unwrap()
    }

    /// Calls a method, and returns its result.
    #[track_caller]
    fn call(&self, method: &'static str, params: Value) -> impl Future<Output = Value> {
        let place = Location::caller();
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        async move {
            let mut reply = self.exchange(request).await;
            assert!(reply.get("error").is_none(), "{reply}, to the request at {place}");
            reply["result"].take()
        }
    }

    /// Calls a method that fails, and returns code and message of the error.
    #[track_caller]
    fn error(&self, method: &'static str, params: Value) -> impl Future<Output = (i64, String)> {
        let place = Location::caller();
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        async move {
            let reply = self.exchange(request).await;
            match (reply["error"]["code"].as_i64(), reply["error"]["message"].as_str()) {
                (Some(code), Some(message)) => (code, message.to_owned()),
                _ => panic!("{reply}, to the request at {place}"),
            }
        }
    }
}

fn me() -> String {
    user::name(nix::unistd::getuid())
}

#[tokio::test]
async fn share_and_methods_are_written_shown_and_kept() {
    let daemon = Daemon::start().await;
    let on = daemon.call("on", json!({"percent": 30, "methods": "OPTIONS, INVITE"})).await;
    assert_eq!((&on["policy"]["percent"], &on["policy"]["methods"]), (&json!(30), &json!("INVITE,OPTIONS")));
    let off = daemon.call("off", json!({})).await;
    assert_eq!(off["policy"]["percent"], 30, "as with the other rows, the next `on` is like the last one");
    let status = daemon.call("status", json!({})).await;
    assert_eq!(status["policy"], off["policy"]);
    let rows = sqlite3(&daemon.database, "SELECT key_name, key_value FROM htable_config ORDER BY id");
    assert_eq!(rows, "maint|0\nmaint_percent|30\nmaint_methods|INVITE,OPTIONS");
}

#[tokio::test]
async fn bypass_is_in_force_when_the_reply_comes_and_names_the_user() {
    let daemon = Daemon::start().await;
    let add = json!({"prefixes": ["198.18.0.0/15", "2001:DB8::1"], "why": "test callers"});
    let added = daemon.call("bypass.add", add).await;
    assert_eq!(added["added"], json!(["198.18.0.0/15", "2001:db8::1/128"]));
    assert_eq!(added["present"], json!([]));
    assert_eq!(added["policy"]["bypass"], json!(["198.18.0.0/15", "2001:db8::1/128"]));
    let again = daemon.call("bypass.add", json!({"prefixes": ["198.18.0.0/15"]})).await;
    assert_eq!((&again["added"], &again["present"]), (&json!([]), &json!(["198.18.0.0/15"])));

    sqlite3(&daemon.database, "INSERT INTO sip_filter_bypass (prefix) VALUES ('198.18.1.7/15')");
    daemon.call("reload", json!({})).await;
    let list = daemon.call("bypass.list", json!({})).await;
    assert_eq!(list["alarms"][0]["kind"], "bad_entries");
    let mut entries = list["prefixes"].clone();
    assert!(entries[0]["at"].take().as_str().unwrap().ends_with('Z'));
    assert_eq!(
        entries[0],
        json!({"prefix": "198.18.0.0/15", "in_force": true, "problem": null, "why": "test callers", "who": me(), "at": null})
    );
    assert_eq!((&entries[1]["prefix"], &entries[1]["in_force"]), (&json!("198.18.1.7/15"), &json!(false)));
    assert!(entries[1]["problem"].as_str().unwrap().contains("198.18.0.0/15 would be the whole range"));

    let remove = json!({"prefixes": ["198.18.1.7/15", "198.18.0.0/15", "10.0.0.0/8"]});
    let removed = daemon.call("bypass.remove", remove).await;
    assert_eq!(removed["removed"], json!(["198.18.1.7/15", "198.18.0.0/15"]));
    assert_eq!(removed["absent"], json!(["10.0.0.0/8"]));
    assert_eq!((&removed["policy"]["bypass"], &removed["alarms"]), (&json!(["2001:db8::1/128"]), &json!([])));
    let events = sqlite3(&daemon.database, "SELECT action, actor, via, why FROM sip_filter_event ORDER BY id");
    assert_eq!(events, format!("bypass.add|{0}|daemon|test callers\nbypass.remove|{0}|daemon|", me()));
}

#[tokio::test]
async fn all_emergency_numbers_can_be_removed() {
    let daemon = Daemon::start().await;
    let list = daemon.call("emergency.list", json!({})).await;
    let users: Vec<&Value> = list["users"].as_array().unwrap().iter().map(|entry| &entry["user"]).collect();
    assert_eq!(users, ["112", "911", "999"]);
    let removed = daemon.call("emergency.remove", json!({"users": ["112", "911", "999"]})).await;
    assert_eq!(removed["policy"]["emergency"], json!([]));
    let added = daemon.call("emergency.add", json!({"users": ["110"]})).await;
    assert_eq!(added["policy"]["emergency"], json!(["110"]));
}

#[tokio::test]
async fn scope_is_in_force_when_the_reply_comes_and_is_all_calls_again_when_its_last_entry_is_removed() {
    let daemon = Daemon::start().await;
    let added = daemon.call("scope.add", json!({"sources": ["198.18.0.0/15", "2001:DB8::1"], "why": "trunk A"})).await;
    assert_eq!(added["added"], json!(["198.18.0.0/15", "2001:db8::1/128"]));
    assert_eq!(added["policy"]["scope"], json!({"sources": ["198.18.0.0/15", "2001:db8::1/128"], "destinations": []}));
    let added = daemon.call("scope.add", json!({"destinations": ["[2001:DB8::2]:5060", "198.18.0.2"]})).await;
    assert_eq!(added["policy"]["scope"]["destinations"], json!(["198.18.0.2", "[2001:db8::2]:5060"]));

    sqlite3(&daemon.database, "INSERT INTO sip_filter_scope_destination (address) VALUES ('127.0.0.1')");
    daemon.call("reload", json!({})).await;
    let list = daemon.call("scope.list", json!({})).await;
    assert_eq!(list["alarms"][0]["table"], "sip_filter_scope_destination");
    let source = &list["sources"][0];
    let expected = [json!("198.18.0.0/15"), json!(me()), json!("trunk A")];
    assert_eq!([&source["prefix"], &source["who"], &source["why"]], expected.each_ref());
    let destinations: Vec<_> = list["destinations"].as_array().unwrap().iter().collect();
    let in_force = |entry: &&Value| (entry["address"].clone(), entry["in_force"] == true);
    let found: Vec<_> = destinations.iter().map(in_force).collect();
    let expected = [("127.0.0.1", false), ("198.18.0.2", true), ("[2001:db8::2]:5060", true)];
    assert_eq!(found, expected.map(|(address, in_force)| (json!(address), in_force)));
    assert!(destinations[0]["problem"].as_str().unwrap().contains("loopback"), "{list}");

    let remove = json!({"destinations": ["127.0.0.1", "198.18.0.2", "[2001:db8::2]:5060", "198.18.0.9"]});
    let removed = daemon.call("scope.remove", remove).await;
    assert_eq!(removed["absent"], json!(["198.18.0.9"]));
    assert_eq!(removed["policy"]["scope"]["destinations"], json!([]));
    let removed = daemon.call("scope.remove", json!({"sources": ["198.18.0.0/15", "2001:db8::1"]})).await;
    assert_eq!((&removed["policy"]["scope"], &removed["alarms"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn entry_that_is_not_valid_is_rejected_and_nothing_changes() {
    let daemon = Daemon::start().await;
    let add = json!({"prefixes": ["10.0.0.0/8", "198.18.1.7/15"]});
    let (code, message) = daemon.error("bypass.add", add).await;
    assert!(code == -32602 && message.contains("198.18.0.0/15 would be the whole range"), "{code} {message}");
    let (code, message) = daemon.error("emergency.add", json!({"users": ["sip:911@a"]})).await;
    assert!(code == -32602 && message.contains("is not a user part"), "{code} {message}");
    let (code, message) = daemon.error("emergency.remove", json!({"users": ["911", "9 1 1"]})).await;
    assert!(code == -32602 && message.contains("is not a user part"), "{code} {message}");
    let (code, message) = daemon.error("scope.add", json!({"destinations": ["198.18.0.2", "0.0.0.0:5060"]})).await;
    assert!(code == -32602 && message.contains("not the address of a host"), "{code} {message}");
    let both = json!({"sources": ["10.0.0.0/8"], "destinations": ["198.18.0.2"]});
    for params in [both, json!({"why": "none"})] {
        let (code, message) = daemon.error("scope.remove", params).await;
        assert!(code == -32602 && message.contains("sources or destinations, and not both"), "{code} {message}");
    }
    assert_eq!(sqlite3(&daemon.database, "SELECT count(*) FROM sip_filter_bypass"), "0");
    assert_eq!(sqlite3(&daemon.database, "SELECT count(*) FROM sip_filter_scope_destination"), "0");
    assert_eq!(sqlite3(&daemon.database, "SELECT count(*) FROM sip_filter_emergency"), "3");
}

#[tokio::test]
async fn list_has_the_entries_in_force_while_the_database_is_down() {
    let daemon = Daemon::start().await;
    daemon.call("bypass.add", json!({"prefixes": ["10.0.0.0/8"], "why": "test callers"})).await;
    daemon.call("scope.add", json!({"destinations": ["198.18.0.2:5060"]})).await;
    std::fs::remove_file(&daemon.database).unwrap();
    sqlite3(&daemon.database, "CREATE TABLE other (x)");
    let (code, message) = daemon.error("bypass.add", json!({"prefixes": ["10.0.0.0/8"]})).await;
    assert!(code == -32000 && message.contains("nothing has changed"), "{code} {message}");
    let list = daemon.call("bypass.list", json!({})).await;
    assert_eq!(
        (&list["prefixes"][0]["prefix"], &list["prefixes"][0]["in_force"]),
        (&json!("10.0.0.0/8"), &json!(true))
    );
    assert_eq!(list["prefixes"][0]["who"], Value::Null);
    assert_eq!(list["alarms"][0]["kind"], "database");
    let scope = daemon.call("scope.list", json!({})).await;
    assert_eq!((&scope["sources"], &scope["destinations"][0]["address"]), (&json!([]), &json!("198.18.0.2:5060")));
    assert_eq!(scope["destinations"][0]["in_force"], true);
}
