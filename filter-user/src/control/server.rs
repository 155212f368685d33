//! The server's side of the control socket: many clients, a line at a time, none of which can block the others.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Uid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::protocol::jsonrpc::{Call, Id, Response};
use crate::protocol::{Code, Error, MAX_REQUEST_LEN, Reply, Request};
use crate::user;

/// Maximum number of clients at a time: more than the people and monitors of one host need.
pub(super) const MAX_CLIENTS: usize = 32;
/// Maximum time in which a client has to send its next line.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum time in which a client has to read a reply.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after an `accept` that failed: without free descriptors, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The methods of the control protocol.
pub trait Service: Send + Sync + 'static {
    /// Executes a request of the user `caller`.
    fn call(&self, caller: &str, request: Request) -> impl Future<Output = Result<Reply, Error>> + Send;
}

/// Serves clients until `stop` is cancelled, and then until each request that was read has its reply.
///
/// If the future is dropped, all connections are closed.
pub async fn serve<S: Service>(listener: UnixListener, service: Arc<S>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = clients.join_next() => {
                report_panic(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("control socket: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = Arc::clone(&places).try_acquire_owned();
        let (service, stop) = (Arc::clone(&service), stop.clone());
        clients.spawn(async move {
            let served = match place {
                Ok(_place) => converse(stream, &*service, &stop).await,
                Err(_) => reject(stream).await,
            };
            if let Err(error) = served {
                debug!("control client: {error}");
            }
        });
    }
    drop(listener);
    while let Some(ended) = clients.join_next().await {
        report_panic(ended);
    }
}

/// Logs the panic of a client's task. The client loses its connection, and no other client does.
fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!("control client: {error}");
    }
}

async fn reject(stream: UnixStream) -> io::Result<()> {
    let error = Error::new(Code::BUSY, format!("{MAX_CLIENTS} clients are connected already, try again"));
    let (_, mut writer) = stream.into_split();
    send(&mut writer, &Response::new(Id::Null, Err(error))).await
}

async fn converse(stream: UnixStream, service: &impl Service, stop: &CancellationToken) -> io::Result<()> {
    let caller = caller(&stream).await?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while let Some(read) = stop.run_until_cancelled(timeout(IDLE_TIMEOUT, read_line(&mut reader, &mut line))).await
        && read??
    {
        if line.len() > MAX_REQUEST_LEN {
            // The beginning of the next request is unknown, so the connection ends.
            let error = Error::new(Code::INVALID_REQUEST, format!("a line is at most {MAX_REQUEST_LEN} bytes"));
            return send(&mut writer, &Response::new(Id::Null, Err(error))).await;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        if let Some(response) = handle(&line, &caller, service).await {
            send(&mut writer, &response).await?;
        }
    }
    Ok(())
}

/// Reads up to and including the next LF, or one byte more than a request may have. Returns `false` at the end of the
/// stream.
async fn read_line(reader: &mut BufReader<OwnedReadHalf>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = u64::try_from(MAX_REQUEST_LEN).unwrap_or(u64::MAX).saturating_add(1);
    Ok(reader.take(limit).read_until(b'\n', line).await? > 0)
}

/// Returns the reply to a line; `None` for a notification, which gets none.
async fn handle(line: &[u8], caller: &str, service: &impl Service) -> Option<Response> {
    let mut call = match Call::parse(line) {
        Ok(call) => call,
        Err(response) => return Some(response),
    };
    let id = call.id.take();
    let outcome = match Request::try_from(call) {
        Ok(request) => service.call(caller, request).await.and_then(to_json),
        Err(error) => Err(error),
    };
    Some(Response::new(id?, outcome))
}

fn to_json(reply: Reply) -> Result<Value, Error> {
    serde_json::to_value(reply).map_err(|error| Error::new(Code::INTERNAL, error))
}

async fn send(writer: &mut OwnedWriteHalf, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    timeout(WRITE_TIMEOUT, writer.write_all(&line)).await?
}

/// Returns the user at the other end, as the kernel knows it (`SO_PEERCRED`).
async fn caller(stream: &UnixStream) -> io::Result<String> {
    let uid = Uid::from_raw(stream.peer_cred()?.uid());
    // The lookup may ask a directory server over the network.
    Ok(spawn_blocking(move || user::name(uid)).await?)
}
