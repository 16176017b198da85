//! Connections: so many at once, and none that takes its time.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use zhongkong_core::clock::millis;

/// The most headers of a request.
const HEADERS_MAX: usize = 64;
/// The most bytes of a request's first line and headers, and of what is read ahead of a body.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Wait after a failed accept: the process is out of file descriptors, and only time gives some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What callers may use up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once; the next one waits to be accepted.
    pub(super) connections: usize,
    /// The longest that the headers of a request may take, and that a connection may be idle.
    pub(super) header_timeout: Duration,
    /// The longest that a caller may leave an answer unread before its connection is closed.
    pub(super) unread_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            header_timeout: Duration::from_secs(10),
            unread_timeout: Duration::from_secs(30),
        }
    }
}

/// Serves `router` until dropped.
pub(super) async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        // Fails only if the semaphore is closed, which nobody does.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let router = router.clone();
        connections.spawn(async move {
            let _place = place;
            converse(stream, router, limits).await;
        });
    }
}

async fn converse(stream: TcpStream, router: Router, limits: Limits) {
    // The kernel keeps this time, because only it knows what the caller has read. Where it can't, there is no limit.
    let unread_ms = u32::try_from(millis(limits.unread_timeout)).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&stream, unread_ms).ok();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A connection that breaks off is its caller's business.
    connection.await.ok();
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// More than the socket buffers of both sides take.
    const HUGE: usize = 64 * 1024 * 1024;
    const GET_SMALL: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    /// A server with room for one caller at a time.
    struct Server {
        address: std::net::SocketAddr,
        _serving: JoinSet<()>,
    }

    impl Server {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new()
                .route("/", get(async || "small"))
                .route("/huge", get(async || Bytes::from(vec![b'x'; HUGE])));
            let limits = Limits {
                connections: 1,
                header_timeout: Duration::from_millis(300),
                unread_timeout: Duration::from_millis(300),
            };
            let mut serving = JoinSet::new();
            serving.spawn(serve(listener, router, limits));
            Self { address, _serving: serving }
        }

        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }

        /// The whole answer, which may come only when a place is free.
        async fn ask(&self, text: &str) -> String {
            let mut stream = self.send(text).await;
            let mut answer = String::new();
            let read = stream.read_to_string(&mut answer);
            tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
            answer
        }
    }

    #[tokio::test]
    async fn who_does_not_finish_a_header_and_who_is_idle_give_their_place_back() {
        let server = Server::start().await;
        for unfinished in ["", "GET", "GET / HTTP/1.1\r\nhost: localhost\r\n"] {
            let _slow = server.send(unfinished).await;
            assert!(server.ask(GET_SMALL).await.ends_with("small"), "{unfinished:?}");
        }
        let mut idle = server.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(server.ask(GET_SMALL).await.ends_with("small"));
        let mut answer = String::new();
        idle.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("small"), "{answer}");
    }

    #[tokio::test]
    async fn who_leaves_an_answer_unread_gives_the_place_back() {
        let server = Server::start().await;
        let _greedy = server.send("GET /huge HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(server.ask(GET_SMALL).await.ends_with("small"));
    }

    #[tokio::test]
    async fn what_is_no_http_or_too_much_of_it_is_refused_without_a_body() {
        let server = Server::start().await;
        let request = |more: &str| GET_SMALL.replace("\r\n\r\n", &format!("\r\n{more}\r\n\r\n"));
        let headers = |count: usize| vec!["x: y"; count].join("\r\n");
        for (sent, status) in [
            (request(&headers(HEADERS_MAX - 2)), "200"),
            (request(&headers(HEADERS_MAX - 1)), "431"),
            (request(&format!("x: {}", "y".repeat(HEADER_BYTES_MAX - 200))), "200"),
            (request(&format!("x: {}", "y".repeat(HEADER_BYTES_MAX))), "431"),
            (GET_SMALL.replacen('/', &format!("/{}", "y".repeat(HEADER_BYTES_MAX)), 1), "431"),
            (request("no colon"), "400"),
            (request("content-length: 1\r\ncontent-length: 2"), "400"),
            (request("content-length: -1"), "400"),
            (request("transfer-encoding: gzip"), "400"),
            (GET_SMALL.replace("HTTP/1.1", "HTTP/9.9"), "400"),
            ("\0\0\0\0\r\n\r\n".to_owned(), "400"),
            (GET_SMALL.replacen("GET /", "G@T /", 1), "400"),
        ] {
            let answer = server.ask(&sent).await;
            let start = &sent[..sent.len().min(90)];
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{start:?}: {answer}");
            assert_eq!(answer.ends_with("\r\n\r\n"), status != "200", "{start:?}: {answer}");
        }
    }
}
