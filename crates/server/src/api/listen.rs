//! Connections: so many at once, encrypted or not, and none that takes its time.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use http::Extensions;
use http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use zhongkong_core::clock::millis;

use super::describe::Takes;
use super::problem::Problem;
use super::routes::alone;

/// The most connections at once.
const CONNECTIONS_MAX: usize = 1_024;
/// The most headers of a request.
const HEADERS_MAX: usize = 64;
/// The most bytes of a request's first line and headers, and of what is read ahead of a body.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Wait after a failed accept: the process is out of file descriptors, and only time gives some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// That there is no place left is said again after this long.
const FULL_AGAIN: Duration = Duration::from_mins(1);

/// How connections are encrypted, if they are. The next one takes what is here then.
pub(super) type Tls = watch::Receiver<Option<Arc<ServerConfig>>>;

/// What callers may use up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once; the next one waits to be accepted.
    pub(super) connections: usize,
    /// The longest that a caller may take to agree on the encryption.
    pub(super) handshake_timeout: Duration,
    /// The longest that the headers of a request may take, and that a connection may be idle.
    pub(super) header_timeout: Duration,
    /// The longest that a caller may leave an answer unread before its connection is closed.
    pub(super) unread_timeout: Duration,
}

impl Limits {
    /// Of a process that may open so many files. Half of them are left to it: whoever calls too often is not to keep it
    /// from Redis and the upstream.
    pub(super) fn within(open_files: Option<u64>) -> Self {
        let half = open_files.and_then(|files| usize::try_from(files / 2).ok());
        Self {
            connections: CONNECTIONS_MAX.min(half.unwrap_or(CONNECTIONS_MAX)).max(1),
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            unread_timeout: Duration::from_secs(30),
        }
    }
}

/// The other end of a request's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// The address from which it came: the caller's, or that of a proxy before it.
    pub(super) address: IpAddr,
    /// Whether the connection is encrypted.
    pub(super) encrypted: bool,
}

impl Peer {
    pub(super) fn of(request: &Request) -> Self {
        Self::among(request.extensions())
    }

    /// Of a request without one, nothing is known: all of those count as one.
    fn among(extensions: &Extensions) -> Self {
        let nobody = Self { address: Ipv4Addr::UNSPECIFIED.into(), encrypted: false };
        extensions.get().copied().unwrap_or(nobody)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::among(&parts.extensions))
    }
}

impl Takes for Peer {}

/// Serves `router` until dropped.
pub(super) async fn serve(listener: TcpListener, router: Router, tls: Tls, limits: Limits) {
    let mut room = Room::new(limits.connections);
    let mut connections = JoinSet::new();
    loop {
        // Fails only if the semaphore is closed, which nobody does.
        let Some(place) = room.place().await else { return };
        while connections.try_join_next().is_some() {}
        let (stream, address) = match listener.accept().await {
            Ok((stream, address)) => (stream, address.ip().to_canonical()),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, tls) = (router.clone(), tls.borrow().clone());
        connections.spawn(async move {
            let _place = place;
            converse(stream, address, router, tls, limits).await;
        });
    }
}

/// Places for connections.
struct Room {
    places: Arc<Semaphore>,
    size: usize,
    /// When it was last said that there is none left.
    told: Option<Instant>,
}

impl Room {
    fn new(size: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(size)), size, told: None }
    }

    /// The next place that is free.
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        if self.told.is_none_or(|told| told.elapsed() >= FULL_AGAIN) {
            self.told = Some(Instant::now());
            tracing::warn!(
                connections = self.size,
                "as many HTTP connections are open as may be: further callers wait until one is closed; \
                 look who opens so many"
            );
        }
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

async fn converse(
    stream: TcpStream,
    address: IpAddr,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
) {
    // The kernel keeps this time, because only it knows what the caller has read. Where it can't, there is no limit.
    let unread_ms = u32::try_from(millis(limits.unread_timeout)).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&stream, unread_ms).ok();
    let Some(tls) = tls else {
        return speak(stream, Peer { address, encrypted: false }, router, limits).await;
    };
    match timeout(limits.handshake_timeout, agree(stream, tls)).await {
        Ok(Ok(Agreed::Encrypted(stream))) => {
            speak(*stream, Peer { address, encrypted: true }, router, limits).await;
        }
        Ok(Ok(Agreed::Plain(stream))) => {
            let advice = alone(|| Problem::invalid_request(ENCRYPTED));
            speak(stream, Peer { address, encrypted: false }, advice, limits).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, %address, "no encrypted connection"),
        Err(_) => tracing::debug!(%address, "no encrypted connection in time"),
    }
}

const ENCRYPTED: &str = "connections to this worker are encrypted: ask by https://, not by http://";

/// What a caller speaks where connections are encrypted.
enum Agreed {
    Encrypted(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// HTTP as it is. It is answered what is wrong, since its caller would understand nothing else.
    Plain(TcpStream),
}

async fn agree(stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<Agreed> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    // A method's name; what TLS begins with is no letter.
    if first[0].is_ascii_alphabetic() {
        return Ok(Agreed::Plain(stream));
    }
    let stream = TlsAcceptor::from(tls).accept(stream).await?;
    Ok(Agreed::Encrypted(Box::new(stream)))
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Peer,
    router: Router,
    limits: Limits,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A connection that breaks off is its caller's business.
    connection.await.ok();
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use zhongkong_testkit::Authority;

    use super::*;
    use crate::config::testing::encryption;

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
            Self::start_with(None).await
        }

        async fn encrypted() -> Self {
            let tls = encryption(&Authority::new().sign("localhost"));
            Self::start_with(Some(tls.server)).await
        }

        async fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new()
                .route("/", get(async || "small"))
                .route("/huge", get(async || Bytes::from(vec![b'x'; HUGE])));
            let limits = Limits {
                connections: 1,
                handshake_timeout: Duration::from_millis(300),
                header_timeout: Duration::from_millis(300),
                unread_timeout: Duration::from_millis(300),
            };
            let mut serving = JoinSet::new();
            let tls = watch::Sender::new(tls).subscribe();
            serving.spawn(serve(listener, router, tls, limits));
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
            timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
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

    #[test]
    fn a_process_keeps_half_of_its_files_for_itself() {
        for (files, connections) in
            [(None, 1_024), (Some(1 << 40), 1_024), (Some(1_024), 512), (Some(1), 1)]
        {
            assert_eq!(Limits::within(files).connections, connections, "{files:?}");
        }
    }

    #[tokio::test]
    async fn who_does_not_agree_on_the_encryption_gives_the_place_back() {
        let server = Server::encrypted().await;
        // The beginning of a first word of TLS, of 512 bytes.
        for unfinished in ["", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}"] {
            let _slow = server.send(unfinished).await;
            let answer = server.ask(GET_SMALL).await;
            assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
        }
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
