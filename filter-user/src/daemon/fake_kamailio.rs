//! A Kamailio with an htable and nothing else, for tests of the parts that switch it.

use std::os::unix::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tokio::net::UnixDatagram;

/// A Kamailio whose htable `config` has the key `maint`.
pub(super) struct FakeKamailio {
    socket: UnixDatagram,
    flag: Value,
}

/// A request to Kamailio.
pub(super) struct Request {
    pub(super) json: Value,
    client: SocketAddr,
}

impl Request {
    /// Returns whether the request sets the flag.
    pub(super) fn sets_flag(&self) -> bool {
        self.json["method"] == "htable.sets"
    }
}

impl FakeKamailio {
    /// Opens the socket of the module jsonrpcs at `path`.
    #[track_caller]
    pub(super) fn bind(path: &Path) -> Self {
        Self { socket: UnixDatagram::bind(path).unwrap(), flag: json!("0") }
    }

    /// Waits for a request.
    pub(super) async fn receive(&self) -> Request {
        let mut buffer = vec![0; 65536];
        let (length, client) = self.socket.recv_from(&mut buffer).await.unwrap();
        Request { json: serde_json::from_slice(&buffer[..length]).unwrap(), client: client.into() }
    }

    /// Executes `request` and replies to it.
    pub(super) async fn reply(&mut self, Request { json, client }: &Request) {
        let result = match json["method"].as_str().unwrap() {
            "htable.sets" => {
                self.flag = json["params"][2].clone();
                json!("Ok. Key set to new value.")
            }
            "htable.listTables" => json!([{"name": "config", "dbtable": "", "dbmode": 0}]),
            _ => json!({"item": {"name": "maint", "value": self.flag}}),
        };
        let reply = json!({"jsonrpc": "2.0", "id": json["id"], "result": result}).to_string();
        self.socket.send_to(reply.as_bytes(), client.as_pathname().unwrap()).await.unwrap();
    }
}
