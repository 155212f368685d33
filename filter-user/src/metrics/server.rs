//! The HTTP server: one request a connection, a few connections at a time, each for a few seconds.

use std::collections::VecDeque;
use std::convert::Infallible;
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

/// Maximum number of connections: more than the monitors of one host need.
const MAX_CLIENTS: usize = 16;
/// Maximum duration of a connection, from `accept` until the response is read.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum length of a request's head in bytes, the least that hyper accepts as a limit.
const MAX_HEAD: usize = 8192;
/// Pause after an `accept` that failed: without free descriptors, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const TEXT: &str = "text/plain; charset=utf-8";
const POINTER: &str = "sip-filter: the metrics are at /metrics\n";

/// The error of an address that cannot be used.
#[derive(Debug, Error)]
#[error("cannot serve metrics at {address}: {source}{hint}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
    hint: &'static str,
}

/// A source of metrics.
pub trait Source: Send + Sync + 'static {
    /// Returns the current metrics in the text format, or the reason why they are not available.
    fn metrics(&self) -> impl Future<Output = Result<String, String>> + Send;
}

/// Binds `address`. The kernel queues scrapes until [`serve`] accepts them.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| {
        let hint = match source.kind() {
            ErrorKind::AddrInUse => {
                "; another process has the port (`ss -ltnp` lists them), choose another with --metrics"
            }
            ErrorKind::AddrNotAvailable => "; no interface has this address (`ip address` lists them)",
            ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE, choose a higher one",
            _ => "",
        };
        BindError { address, source, hint }
    })
}

/// Serves scrapes until the future is dropped, which closes all connections.
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
        oldest_first.push_back(connections.spawn(converse(stream, Arc::clone(&source))));
    }
}

async fn converse<S: Source>(stream: TcpStream, source: Arc<S>) {
    let service = service_fn(|request| {
        let source = Arc::clone(&source);
        async move { Ok::<_, Infallible>(respond(&request, &*source).await) }
    });
    // Without the header timeout of hyper: `CONNECTION_TIMEOUT` applies to the whole connection, and is shorter.
    let connection = http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("metrics client: {error}"),
        Err(_) => debug!("metrics client: closed after {} s", CONNECTION_TIMEOUT.as_secs()),
    }
}

async fn respond(request: &Request<Incoming>, source: &impl Source) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/" | "/metrics") {
        return response(StatusCode::NOT_FOUND, TEXT, format!("not found; {POINTER}"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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

    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
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
    async fn metrics_are_at_one_path_for_get_and_head(#[case] request: &str, #[case] status: &str, #[case] body: &str) {
        let response = exchange(server(Fixed(Ok("up 1\n"))).await, request).await;
        let (head, found) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().next().unwrap().ends_with(status), "{head}");
        assert_eq!(found, body);
    }

    #[tokio::test]
    async fn unavailable_metrics_are_an_error_and_not_an_empty_page() {
        let address = server(Fixed(Err("the data plane has stopped"))).await;
        let response = exchange(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(
            response.starts_with("HTTP/1.1 500 ") && response.ends_with("the data plane has stopped\n"),
            "{response}"
        );
    }

    #[tokio::test]
    async fn silent_clients_do_not_keep_others_out() {
        let address = server(Fixed(Ok("up 1\n"))).await;
        let mut silent = Vec::new();
        for _ in 0..3 * MAX_CLIENTS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let response = exchange(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(response.ends_with("up 1\n"), "{response}");
        // The first ones were closed to make room.
        assert!(matches!(silent[0].read(&mut [0]).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn head_that_is_too_long_is_rejected() {
        let address = server(Fixed(Ok("up 1\n"))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let line = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    }

    #[tokio::test]
    async fn error_of_an_address_names_it_and_the_fix() {
        let taken = server(Fixed(Ok(""))).await;
        let error = bind(taken).await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("ss -ltnp"), "{error}");
        let error = bind("198.51.100.1:9464".parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("no interface has this address"), "{error}");
    }
}
