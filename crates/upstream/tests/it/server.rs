//! A server that answers every connection in one scripted way, and keeps what it received.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use url::Url;

/// What the server does with a connection.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// Reads the request, answers with these bytes, and closes.
    Answer(Vec<u8>),
    /// Reads the request, answers with these bytes, and then says nothing until the client goes.
    Stall(Vec<u8>),
    /// Reads the request, and closes.
    Cut,
    /// Reads the request, and resets the connection.
    Reset,
    /// Answers at once with these bytes, whatever comes.
    Blurt(Vec<u8>),
    /// Answers the request with the request itself, as an error message.
    Echo,
}

/// The server. [`Server::received`] ends it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requested: Arc<Notify>,
    last: Arc<OnceLock<SocketAddr>>,
    received: Arc<Mutex<Vec<String>>>,
    acceptor: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let last = Arc::new(OnceLock::new());
        let requested = Arc::new(Notify::new());
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(
            listener,
            script,
            Arc::clone(&last),
            Arc::clone(&received),
            Arc::clone(&requested),
        ));
        Self { address, requested, last, received, acceptor }
    }

    pub(crate) fn url(&self) -> Url {
        self.url_of("http")
    }

    pub(crate) fn url_of(&self, scheme: &str) -> Url {
        Url::parse(&format!("{scheme}://{}", self.address)).unwrap()
    }

    /// What each connection brought, once all of them are over.
    ///
    /// Connections are accepted in the order in which they were made: when one that is made now is accepted,
    /// no earlier one is left.
    pub(crate) async fn received(mut self) -> Vec<String> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        self.last.set(socket.local_addr().unwrap()).unwrap();
        let _last = socket.connect(self.address).await.unwrap();
        self.acceptor.join_next().await.unwrap().unwrap();
        let mut received = self.received.lock().unwrap();
        std::mem::take(&mut received)
    }
}

async fn accept(
    listener: TcpListener,
    script: Script,
    last: Arc<OnceLock<SocketAddr>>,
    received: Arc<Mutex<Vec<String>>>,
    requested: Arc<Notify>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        if last.get() == Some(&peer) {
            break;
        }
        let (script, requested) = (script.clone(), Arc::clone(&requested));
        let received = Arc::clone(&received);
        connections.spawn(async move {
            let bytes = serve(stream, script, &requested).await;
            received.lock().unwrap().push(String::from_utf8_lossy(&bytes).into_owned());
        });
    }
    while connections.join_next().await.is_some() {}
}

async fn serve(mut stream: TcpStream, script: Script, requested: &Notify) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Script::Blurt(answer) = &script {
        drop(stream.write_all(answer).await);
    } else {
        while !is_whole(&bytes) {
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return bytes;
            }
        }
        requested.notify_one();
    }
    // The client may have gone already, which is its right: what fails to be written is of no interest.
    match script {
        Script::Answer(answer) => {
            drop(stream.write_all(&answer).await);
            drop(stream.shutdown().await);
        }
        Script::Stall(answer) => drop(stream.write_all(&answer).await),
        Script::Echo => {
            let message = String::from_utf8_lossy(&bytes);
            let answer = serde_json::json!({ "errcode": 40013, "errmsg": message });
            drop(stream.write_all(&ok(&answer.to_string())).await);
        }
        Script::Cut => return bytes,
        Script::Reset => {
            stream.set_zero_linger().unwrap();
            return bytes;
        }
        Script::Blurt(_) => {}
    }
    // Whatever else comes would be a second request: it is kept, to be counted.
    while matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {}
    bytes
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.parse().unwrap());
    body.len() >= length
}

/// A whole answer with the status 200.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    with_status("200 OK", body)
}

/// A whole answer.
pub(crate) fn with_status(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
