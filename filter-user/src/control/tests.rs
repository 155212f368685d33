//! Tests of the control socket, over real sockets.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::server::MAX_CLIENTS;
use super::{Client, ClientError, Code, ControlSocket, MAX_LINE, Method, RpcError, Service, SocketError, serve};

/// Answers with what it was asked; `reload` fails.
#[derive(Default)]
struct Echo(Mutex<Vec<Method>>);

impl Service for Echo {
    async fn call(&self, caller: &str, method: Method) -> Result<Value, RpcError> {
        self.0.lock().unwrap().push(method.clone());
        match method {
            Method::Reload => Err(RpcError::new(Code::Database, "it is down")),
            method => Ok(json!({"caller": caller, "method": format!("{method:?}")})),
        }
    }
}

struct Served {
    _directory: TempDir,
    _socket: ControlSocket,
    path: PathBuf,
    service: Arc<Echo>,
}

fn start() -> Served {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("run/control.sock");
    let socket = ControlSocket::claim(&path).unwrap();
    let listener = tokio::net::UnixListener::from_std(socket.listen().unwrap()).unwrap();
    let service = Arc::new(Echo::default());
    tokio::spawn(serve(listener, service.clone(), tokio_util::sync::CancellationToken::new()));
    Served { _directory: directory, _socket: socket, path, service }
}

/// Sends bytes as they are and reads one line; empty if the server closes.
async fn exchange(path: &Path, bytes: Vec<u8>) -> String {
    let stream = UnixStream::connect(path).unwrap();
    spawn_blocking(move || {
        let mut line = String::new();
        // The server may close before it has read all.
        let _ = (&stream).write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    })
    .await
    .unwrap()
}

#[rstest]
#[case::not_json("{", -32700, Value::Null)]
#[case::control_byte("{\"jsonrpc\": \"\u{1}\"}", -32700, Value::Null)]
#[case::a_batch("[]", -32600, Value::Null)]
#[case::a_number("1", -32600, Value::Null)]
#[case::no_version(r#"{"id": 7, "method": "status"}"#, -32600, json!(7))]
#[case::version_1(r#"{"jsonrpc": "1.0", "id": 7, "method": "status"}"#, -32600, json!(7))]
#[case::no_method(r#"{"jsonrpc": "2.0", "id": "a"}"#, -32600, json!("a"))]
#[case::method_of_another_type(r#"{"jsonrpc": "2.0", "id": 7, "method": 1}"#, -32600, json!(7))]
#[case::id_of_another_type(r#"{"jsonrpc": "2.0", "id": [1], "method": "status"}"#, -32600, Value::Null)]
#[case::unknown_method(r#"{"jsonrpc": "2.0", "id": 7, "method": "shutdown"}"#, -32601, json!(7))]
#[case::params_by_position(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": [503]}"#, -32602, json!(7))]
#[case::unknown_param(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": {"cod": 503}}"#, -32602, json!(7))]
#[case::param_for_none(r#"{"jsonrpc": "2.0", "id": 7, "method": "status", "params": {"a": 1}}"#, -32602, json!(7))]
#[case::code_out_of_range(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": {"code": 200}}"#, -32602, json!(7))]
#[case::code_too_big(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": {"code": 66039}}"#, -32602, json!(7))]
#[case::retry_after(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": {"retry_after": 86401}}"#, -32602, json!(7))]
#[case::reason_with_crlf(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": {"reason": "a\r\nb: c"}}"#, -32602, json!(7))]
#[case::percent_zero(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": {"percent": 0}}"#, -32602, json!(7))]
#[case::percent_too_high(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": {"percent": 101}}"#, -32602, json!(7))]
#[case::never_refused(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": {"methods": "INVITE,BYE"}}"#, -32602, json!(7))]
#[case::methods_as_list(r#"{"jsonrpc": "2.0", "id": 7, "method": "on", "params": {"methods": ["INVITE"]}}"#, -32602, json!(7))]
#[case::why_with_escape(r#"{"jsonrpc": "2.0", "id": 7, "method": "off", "params": {"why": "\u001b[2J"}}"#, -32602, json!(7))]
#[case::no_prefixes(r#"{"jsonrpc": "2.0", "id": 7, "method": "bypass.add", "params": {"prefixes": []}}"#, -32602, json!(7))]
#[case::prefixes_missing(r#"{"jsonrpc": "2.0", "id": 7, "method": "bypass.remove"}"#, -32602, json!(7))]
#[case::prefix_of_another_type(r#"{"jsonrpc": "2.0", "id": 7, "method": "bypass.add", "params": {"prefixes": "10.0.0.0/8"}}"#, -32602, json!(7))]
#[case::users_of_the_other_table(r#"{"jsonrpc": "2.0", "id": 7, "method": "emergency.add", "params": {"prefixes": ["911"]}}"#, -32602, json!(7))]
#[case::exemption_why(r#"{"jsonrpc": "2.0", "id": 7, "method": "emergency.add", "params": {"users": ["911"], "why": "\u0007"}}"#, -32602, json!(7))]
#[case::list_has_no_params(r#"{"jsonrpc": "2.0", "id": 7, "method": "bypass.list", "params": {"prefixes": ["::/0"]}}"#, -32602, json!(7))]
#[case::it_fails(r#"{"jsonrpc": "2.0", "id": 7, "method": "reload"}"#, -32000, json!(7))]
#[tokio::test]
async fn errors_have_their_codes(#[case] line: &str, #[case] code: i64, #[case] id: Value) {
    let served = start();
    let answer: Value = serde_json::from_str(&exchange(&served.path, format!("{line}\n").into()).await).unwrap();
    assert_eq!(answer["error"]["code"], code, "{answer}");
    assert_eq!(answer["id"], id);
    assert_eq!(answer["jsonrpc"], "2.0");
    assert!(answer.get("result").is_none());
}

#[tokio::test]
async fn a_request_is_answered_with_who_asked() {
    let served = start();
    let path = served.path.clone();
    let answers = spawn_blocking(move || {
        let mut client = Client::connect(&path).unwrap();
        let on = client.call("on", json!({"code": 480, "why": "upgrade"})).unwrap();
        (on, client.call("status", json!({})).unwrap(), client.call("reload", json!({})).unwrap_err())
    })
    .await
    .unwrap();
    let me = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    assert_eq!(answers.0["caller"], me);
    assert!(answers.0["method"].as_str().unwrap().contains("Some(480)"));
    assert_eq!(answers.1["method"], "Status");
    assert_eq!(answers.2.to_string(), "it is down");
}

#[tokio::test]
async fn a_notification_is_done_and_not_answered() {
    let served = start();
    let lines =
        "\n{\"jsonrpc\": \"2.0\", \"method\": \"off\"}\n{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\"}\n";
    let answer: Value = serde_json::from_str(&exchange(&served.path, lines.into()).await).unwrap();
    assert_eq!(answer["id"], 1, "the first answer is the second request's");
    assert_eq!(served.service.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_line_without_end_is_cut_off() {
    let served = start();
    let answer: Value = serde_json::from_str(&exchange(&served.path, vec![b'x'; MAX_LINE + 2]).await).unwrap();
    assert_eq!(answer["error"]["code"], -32600);
}

#[tokio::test]
async fn too_many_clients_are_turned_away_and_the_others_served_on() {
    let served = start();
    let path = served.path.clone();
    spawn_blocking(move || {
        let mut clients: Vec<Client> = (0..MAX_CLIENTS).map(|_| Client::connect(&path).unwrap()).collect();
        clients.iter_mut().for_each(|client| drop(client.call("status", json!({})).unwrap()));
        let refused = Client::connect(&path).unwrap().call("status", json!({})).unwrap_err();
        assert!(matches!(&refused, ClientError::Refused(error) if error.code == -32002), "{refused}");
        clients[0].call("status", json!({})).unwrap();
        clients.clear();
        // Their places are free as soon as the server has noticed.
        let again = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            Client::connect(&path).unwrap().call("status", json!({})).is_ok()
        });
        assert!(again);
    })
    .await
    .unwrap();
}

#[test]
fn a_second_daemon_is_told_of_the_first() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control.sock");
    let first = ControlSocket::claim(&path).unwrap();
    let Err(error) = ControlSocket::claim(&path) else { panic!("claimed twice") };
    assert!(matches!(&error, SocketError::Taken { pid, .. } if *pid == std::process::id().to_string()), "{error}");
    drop(first);
    ControlSocket::claim(&path).unwrap();
}

#[test]
fn a_stale_socket_is_replaced_and_ours_removed() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(Client::connect(&path), Err(ClientError::NoDaemon(_))));

    let socket = ControlSocket::claim(&path).unwrap();
    let _listener = socket.listen().unwrap();
    assert!(Client::connect(&path).is_ok());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn what_is_not_a_socket_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    assert!(matches!(ControlSocket::claim(&path), Err(SocketError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}
