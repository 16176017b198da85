//! A receiver of notifications: a real HTTP server, which keeps what it got and answers as it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What every robot here takes for "taken".
const TAKEN: &str = r#"{"errcode":0,"errmsg":"ok","code":0}"#;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) path: String,
    /// By their names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// How one request is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Status(u16),
    /// 200 with this body.
    Body(&'static str),
    /// 400, and the request itself.
    Echo,
    /// Never.
    Stall,
}

/// The receiver; it ends with its test.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    got: Mutex<Vec<Got>>,
    replies: Mutex<VecDeque<Reply>>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// What a webhook is told: what, of which problem.
    pub(crate) fn news(&self) -> (String, String) {
        let json = self.json();
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        (text("type"), text("problem"))
    }
}

impl Receiver {
    /// One that answers its first requests like this, and takes all others.
    pub(crate) async fn start(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        shared.replies.lock().unwrap().extend(replies);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, _serving: serving }
    }

    /// Its address, with `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All that it got so far.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }

    /// What a webhook was told so far.
    pub(crate) fn news(&self) -> Vec<(String, String)> {
        self.got().iter().map(Got::news).collect()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(answer(stream, Arc::clone(&shared)));
    }
}

async fn answer(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(got) = read(&mut stream).await else { return };
    shared.got.lock().unwrap().push(got.clone());
    let reply = shared.replies.lock().unwrap().pop_front();
    let (status, body) = match reply {
        None => (200, TAKEN.to_owned()),
        Some(Reply::Status(status)) => (status, String::new()),
        Some(Reply::Body(body)) => (200, body.to_owned()),
        Some(Reply::Echo) => (400, format!("{} {:?} {}", got.path, got.headers, got.body)),
        Some(Reply::Stall) => std::future::pending().await,
    };
    let answer = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // Whoever asked may be dead.
    drop(stream.write_all(answer.as_bytes()).await);
}

/// None if it does not come whole.
async fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    loop {
        if let Some(got) = parse(&bytes) {
            return Some(got);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Got> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    (body.len() >= length).then(|| Got { path, headers, body: body.to_owned() })
}
