//! The HTTP server: one request a connection, a few connections at a time, each for a few seconds.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use super::Exposition;

/// More than all monitors of one host need.
const MAX_CLIENTS: usize = 16;
/// How long a connection may last, from `accept` until its answer is read.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a request's head may be long; hyper takes no less as a limit.
const MAX_HEAD: usize = 8192;
/// Pause after an `accept` that failed: for want of descriptors it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const TEXT: &str = "text/plain; charset=utf-8";
const POINTER: &str = "sip-filter: the metrics are at /metrics\n";

/// The address for the metrics cannot be used.
#[derive(Debug, Error)]
#[error("cannot serve metrics at {address}: {source}{hint}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
    hint: &'static str,
}

/// Where the metrics come from.
pub trait Source: Send + Sync + 'static {
    /// The metrics as they are now, in the text format; if they cannot be had, why.
    fn metrics(&self) -> impl Future<Output = Result<String, String>> + Send;
}

/// Takes `address`, so that scrapes are queued by the kernel until [`serve`] takes them.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| {
        let hint = match source.kind() {
            ErrorKind::AddrInUse => {
                "; another process has the port (`ss -ltnp` lists them), choose another by --metrics"
            }
            ErrorKind::AddrNotAvailable => "; no interface has this address (`ip address` lists them)",
            ErrorKind::PermissionDenied => "; ports below 1024 take CAP_NET_BIND_SERVICE, choose one above",
            _ => "",
        };
        BindError { address, source, hint }
    })
}

/// Answers scrapes, until the future is dropped; connections end with it.
///
/// There is always room for another: when there are too many connections, the oldest is closed. A scrape takes
/// milliseconds, so the oldest is one that keeps us waiting.
pub async fn serve<S: Source>(listener: &TcpListener, source: Arc<S>) {
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("metrics: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while let Some(ended) = connections.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                error!("metrics client: {error}");
            }
        }
        oldest_first.retain(|connection| !connection.is_finished());
        if oldest_first.len() >= MAX_CLIENTS
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        oldest_first.push_back(connections.spawn(converse(stream, source.clone())));
    }
}

async fn converse<S: Source>(stream: TcpStream, source: Arc<S>) {
    let service = service_fn(|request| {
        let source = source.clone();
        async move { Ok::<_, Infallible>(answer(&request, &*source).await) }
    });
    // No header timeout of hyper's: `PATIENCE` holds for the whole, and it is the shorter one.
    let connection = http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("metrics client: {error}"),
        Err(_) => debug!("metrics client: closed after {} s", PATIENCE.as_secs()),
    }
}

async fn answer(request: &Request<Incoming>, source: &impl Source) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/" | "/metrics") {
        return response(StatusCode::NOT_FOUND, TEXT, format!("not found; {POINTER}"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    if path == "/" {
        return response(StatusCode::OK, TEXT, POINTER);
    }
    match source.metrics().await {
        Ok(metrics) => response(StatusCode::OK, Exposition::CONTENT_TYPE, metrics),
        Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use rstest::rstest;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::{MAX_CLIENTS, MAX_HEAD, Source, bind, serve};

    struct Fixed(Result<&'static str, &'static str>);

    impl Source for Fixed {
        async fn metrics(&self) -> Result<String, String> {
            self.0.map(str::to_owned).map_err(str::to_owned)
        }
    }

    async fn server(source: Fixed) -> SocketAddr {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { serve(&listener, Arc::new(source)).await });
        address
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[rstest]
    #[case::metrics("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "up 1\n")]
    #[case::with_a_query("GET /metrics?name=up HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "up 1\n")]
    #[case::head("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "")]
    #[case::old("GET /metrics HTTP/1.0\r\n\r\n", "200 OK", "up 1\n")]
    #[case::root("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "sip-filter: the metrics are at /metrics\n")]
    #[case::elsewhere(
        "GET /metricsx HTTP/1.1\r\nHost: a\r\n\r\n",
        "404 Not Found",
        "not found; sip-filter: the metrics are at /metrics\n"
    )]
    #[case::post(
        "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "405 Method Not Allowed",
        "only GET and HEAD\n"
    )]
    #[case::garbage("\u{16}\u{3}\u{1}hello\r\n\r\n", "400 Bad Request", "")]
    #[tokio::test]
    async fn what_is_asked_and_answered(#[case] request: &str, #[case] status: &str, #[case] body: &str) {
        let answer = ask(server(Fixed(Ok("up 1\n"))).await, request).await;
        let (head, found) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().next().unwrap().ends_with(status), "{head}");
        assert_eq!(found, body);
    }

    #[tokio::test]
    async fn metrics_that_cannot_be_had_are_an_error_and_not_an_empty_page() {
        let address = server(Fixed(Err("the kernel does not say"))).await;
        let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.ends_with("the kernel does not say\n"), "{answer}");
    }

    #[tokio::test]
    async fn clients_that_say_nothing_do_not_take_the_place_of_one_that_does() {
        let address = server(Fixed(Ok("up 1\n"))).await;
        let mut silent = Vec::new();
        for _ in 0..3 * MAX_CLIENTS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.ends_with("up 1\n"), "{answer}");
        // The first ones were closed to make room.
        assert!(matches!(silent[0].read(&mut [0]).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_refused() {
        let address = server(Fixed(Ok("up 1\n"))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let line = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_used_is_named_with_what_to_do() {
        let taken = server(Fixed(Ok(""))).await;
        let error = bind(taken).await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("ss -ltnp"), "{error}");
        let error = bind("198.51.100.1:9464".parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("no interface has this address"), "{error}");
    }
}
