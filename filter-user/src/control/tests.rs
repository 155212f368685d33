//! Tests of the control socket, over real sockets.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::server::MAX_CLIENTS;
use super::{Client, ClientError, ControlSocket, Service, SocketError, serve};
use crate::domain::Policy;
use crate::protocol::{
    Code, Error, Events, History, InForce, MAX_REQUEST_LEN, NoParams, On, Remark, Reply, Request, Switched, method,
};
use crate::user;

/// Records requests with their callers, and has a reply to some. `reload` fails.
#[derive(Default)]
struct Recorder(Mutex<Vec<(String, Request)>>);

impl Service for Recorder {
    async fn call(&self, caller: &str, request: Request) -> Result<Reply, Error> {
        self.0.lock().unwrap().push((caller.to_owned(), request.clone()));
        match request {
            Request::On(_) | Request::Off(_) => {
                let in_force = InForce { policy: Policy::default(), since: None, alarms: Vec::new() };
                Ok(Reply::Switched(Switched { in_force, event: 7 }))
            }
            Request::Reload(_) => Err(Error::new(Code::DATABASE, "the database is down")),
            _ => Ok(Reply::Events(Events { events: Vec::new() })),
        }
    }
}

struct Served {
    _directory: TempDir,
    _socket: ControlSocket,
    path: PathBuf,
    service: Arc<Recorder>,
}

fn start() -> Served {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("run/control.sock");
    let socket = ControlSocket::claim(&path).unwrap();
    let listener = tokio::net::UnixListener::from_std(socket.listen().unwrap()).unwrap();
    let service = Arc::new(Recorder::default());
    tokio::spawn(serve(listener, Arc::clone(&service), tokio_util::sync::CancellationToken::new()));
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
#[case::no_sources(r#"{"jsonrpc": "2.0", "id": 7, "method": "scope.add", "params": {"sources": []}}"#, -32602, json!(7))]
#[case::scope_as_list(r#"{"jsonrpc": "2.0", "id": 7, "method": "scope.add", "params": {"prefixes": ["10.0.0.0/8"]}}"#, -32602, json!(7))]
#[case::execution_fails(r#"{"jsonrpc": "2.0", "id": 7, "method": "reload"}"#, -32000, json!(7))]
#[tokio::test]
async fn error_replies_have_their_code_and_the_id_of_the_request(
    #[case] line: &str,
    #[case] code: i64,
    #[case] id: Value,
) {
    let served = start();
    let answer: Value = serde_json::from_str(&exchange(&served.path, format!("{line}\n").into()).await).unwrap();
    assert_eq!(answer["error"]["code"], code, "{answer}");
    assert_eq!(answer["id"], id);
    assert_eq!(answer["jsonrpc"], "2.0");
    assert!(answer.get("result").is_none());
}

#[tokio::test]
async fn service_gets_the_request_and_the_user_who_made_it() {
    let served = start();
    let path = served.path.clone();
    let on = On {
        code: Some(480.try_into().unwrap()),
        remark: Remark { why: Some("upgrade".parse().unwrap()) },
        ..On::default()
    };
    let params = on.clone();
    let (switched, error) = spawn_blocking(move || {
        let mut client = Client::connect(&path).unwrap();
        let switched = client.call::<method::On>(&params).unwrap();
        (switched, client.call::<method::Reload>(&NoParams {}).unwrap_err())
    })
    .await
    .unwrap();
    assert_eq!((switched.reply.event, &switched.json["event"]), (7, &json!(7)));
    assert_eq!(error.to_string(), "the database is down");
    let me = user::name(nix::unistd::getuid());
    let expected = [(me.clone(), Request::On(on)), (me, Request::Reload(NoParams {}))];
    assert_eq!(*served.service.0.lock().unwrap(), expected);
}

#[tokio::test]
async fn notification_is_executed_and_gets_no_reply() {
    let served = start();
    let lines =
        "\n{\"jsonrpc\": \"2.0\", \"method\": \"off\"}\n{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"history\"}\n";
    let answer: Value = serde_json::from_str(&exchange(&served.path, lines.into()).await).unwrap();
    assert_eq!(answer["id"], 1, "the first reply belongs to the second request");
    assert_eq!(served.service.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn line_that_is_too_long_is_an_invalid_request() {
    let served = start();
    let answer: Value = serde_json::from_str(&exchange(&served.path, vec![b'x'; MAX_REQUEST_LEN + 2]).await).unwrap();
    assert_eq!(answer["error"]["code"], -32600);
}

#[tokio::test]
async fn client_beyond_the_limit_is_rejected_and_the_others_are_served_on() {
    let served = start();
    let path = served.path.clone();
    spawn_blocking(move || {
        let history = |client: &mut Client| client.call::<method::History>(&History::default());
        let mut clients: Vec<Client> = (0..MAX_CLIENTS).map(|_| Client::connect(&path).unwrap()).collect();
        for client in &mut clients {
            history(client).unwrap();
        }
        let error = history(&mut Client::connect(&path).unwrap()).unwrap_err();
        assert!(matches!(&error, ClientError::Rejected(error) if json!(error.code) == -32002), "{error}");
        history(&mut clients[0]).unwrap();
        clients.clear();
        // Their places are free as soon as the server has noticed.
        let is_served = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            history(&mut Client::connect(&path).unwrap()).is_ok()
        });
        assert!(is_served);
    })
    .await
    .unwrap();
}

#[test]
fn second_daemon_gets_an_error_that_names_the_first() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control.sock");
    let first = ControlSocket::claim(&path).unwrap();
    let Err(error) = ControlSocket::claim(&path) else { panic!("claimed twice") };
    assert!(matches!(&error, SocketError::Taken { pid, .. } if *pid == std::process::id().to_string()), "{error}");
    drop(first);
    ControlSocket::claim(&path).unwrap();
}

#[test]
fn stale_socket_is_replaced_and_removed_at_the_end() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(Client::connect(&path), Err(ClientError::NoDaemon(_))));

    let socket = ControlSocket::claim(&path).unwrap();
    let _listener = socket.listen().unwrap();
    Client::connect(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn file_that_is_not_a_socket_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    assert!(matches!(ControlSocket::claim(&path), Err(SocketError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}
