//! The server's side: many clients, each a line at a time, none of which can hold up the others.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Uid, User};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::rpc::{self, Code, RpcError};
use super::{MAX_LINE, Method};

/// More than all people and monitors of one host need.
pub(super) const MAX_CLIENTS: usize = 32;
/// How long a client may say nothing, or take to say a line.
const IDLE: Duration = Duration::from_secs(60);
/// How long a client may leave an answer unread.
const WRITE: Duration = Duration::from_secs(5);
/// Pause after an `accept` that failed: for want of descriptors it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What answers the methods.
pub trait Service: Send + Sync + 'static {
    /// Does what `caller`, a user's name, asks for.
    fn call(&self, caller: &str, method: Method) -> impl Future<Output = Result<Value, RpcError>> + Send;
}

/// Serves clients until `stop` is cancelled, and then until each connected client has the reply to its request.
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
        let (service, place, stop) = (service.clone(), places.clone().try_acquire_owned(), stop.clone());
        clients.spawn(async move {
            let done = match place {
                Ok(_place) => converse(stream, &*service, &stop).await,
                Err(_) => turn_away(stream).await,
            };
            if let Err(error) = done {
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

async fn turn_away(mut stream: UnixStream) -> io::Result<()> {
    let error = RpcError::new(Code::Busy, format!("{MAX_CLIENTS} clients are connected already, try again"));
    timeout(WRITE, stream.write_all(&rpc::answer(&Value::Null, Err(error)))).await?
}

async fn converse(stream: UnixStream, service: &impl Service, stop: &CancellationToken) -> io::Result<()> {
    let caller = user(&stream)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while let Some(read) = stop.run_until_cancelled(timeout(IDLE, read_line(&mut reader, &mut line))).await
        && read??
    {
        if line.len() > MAX_LINE {
            // Where the next request begins cannot be known any more.
            let error = RpcError::new(Code::InvalidRequest, format!("a line is at most {MAX_LINE} bytes"));
            return send(&mut writer, &rpc::answer(&Value::Null, Err(error))).await;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        if let Some(answer) = handle(&line, &caller, service).await {
            send(&mut writer, &answer).await?;
        }
    }
    Ok(())
}

/// Reads up to and with the next LF, or one byte more than a line may have. `false` at the end of the stream.
async fn read_line(reader: &mut BufReader<OwnedReadHalf>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX).saturating_add(1);
    Ok(reader.take(limit).read_until(b'\n', line).await? > 0)
}

async fn handle(line: &[u8], caller: &str, service: &impl Service) -> Option<Vec<u8>> {
    let (id, outcome) = match rpc::parse(line) {
        Ok(request) => match Method::new(&request.method, request.params) {
            Ok(method) => (request.id, service.call(caller, method).await),
            Err(error) => (request.id, Err(error)),
        },
        Err((id, error)) => (Some(id), Err(error)),
    };
    id.map(|id| rpc::answer(&id, outcome))
}

async fn send(writer: &mut OwnedWriteHalf, answer: &[u8]) -> io::Result<()> {
    timeout(WRITE, writer.write_all(answer)).await?
}

/// The user at the other end, by what the kernel says (`SO_PEERCRED`).
fn user(stream: &UnixStream) -> io::Result<String> {
    let uid = stream.peer_cred()?.uid();
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    Ok(user.map_or_else(|| format!("uid {uid}"), |user| user.name))
}
