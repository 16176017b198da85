//! Many requests over few connections, which are kept open.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::figures::{at, ms};

/// The longest that one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
/// The longest answer that is read.
const BODY_MAX: usize = 1024 * 1024;

/// What is asked, and how much of it at once.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// `127.0.0.1:8620`; connections go to them in turn.
    pub(crate) authorities: Vec<String>,
    pub(crate) path: String,
    /// JSON to be posted; without it, the path is read.
    pub(crate) post: Option<String>,
    pub(crate) connections: usize,
    pub(crate) requests: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    latencies_ms: Vec<f64>,
    took: Duration,
    /// Answers by status, and for those that say one, by `outcome`.
    pub(crate) answers: BTreeMap<String, usize>,
}

impl Load {
    /// Reads `path` of a worker, or of anything else at `url`.
    pub(crate) fn get(url: &str, path: &str, connections: usize, requests: usize) -> Self {
        let authorities = vec![authority(url)];
        Self { authorities, path: path.to_owned(), post: None, connections, requests }
    }

    /// Asks it all. Connections are made before the time begins to count.
    pub(crate) async fn drive(&self) -> Loaded {
        let mut conversations = JoinSet::new();
        let mut senders = Vec::new();
        for index in 0..self.connections {
            let authority = self.authorities[index % self.authorities.len()].clone();
            let stream = TcpStream::connect(&authority).await.expect("a server that listens");
            stream.set_nodelay(true).expect("a TCP connection");
            let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
            conversations.spawn(async move { connection.await.ok() });
            senders.push((authority, sender));
        }
        let left = Arc::new(AtomicUsize::new(self.requests));
        let mut callers = JoinSet::new();
        let began = Instant::now();
        for (authority, sender) in senders {
            callers.spawn(call(sender, self.clone(), authority, Arc::clone(&left)));
        }
        let mut all = Loaded::default();
        while let Some(called) = callers.join_next().await {
            let Loaded { latencies_ms, answers, .. } = called.expect("a caller ends in order");
            all.latencies_ms.extend(latencies_ms);
            for (answer, count) in answers {
                *all.answers.entry(answer).or_default() += count;
            }
        }
        all.took = began.elapsed();
        all
    }
}

impl Loaded {
    /// The latency below which `share` of the requests stayed, in milliseconds.
    pub(crate) fn latency_ms(&self, share: f64) -> f64 {
        at(&self.latencies_ms, share)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies_ms.len() as f64 / self.took.as_secs_f64()
    }

    /// Panics unless every answer was 200.
    pub(crate) fn must_be_good(&self) {
        let good = self.answers.keys().all(|answer| answer.starts_with("200"));
        assert!(good, "{:?}", self.answers);
    }
}

async fn call(
    mut sender: SendRequest<Body>,
    load: Load,
    authority: String,
    left: Arc<AtomicUsize>,
) -> Loaded {
    let mut loaded = Loaded::default();
    let one_less = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
        let request = Request::builder().uri(&load.path).header("host", &authority);
        let request = match &load.post {
            None => request.body(Body::empty()),
            Some(json) => request
                .method("POST")
                .header("content-type", "application/json")
                .body(Body::from(json.clone())),
        };
        let asked = Instant::now();
        let answered = timeout(ANSWER_WITHIN, exchange(&mut sender, request.expect("a request")));
        let answer = answered.await.expect("an answer in time");
        loaded.latencies_ms.push(ms(asked.elapsed()));
        *loaded.answers.entry(answer).or_default() += 1;
    }
    loaded
}

/// The status, and the `outcome` if the answer has one.
async fn exchange(sender: &mut SendRequest<Body>, request: Request<Body>) -> String {
    let posted = request.method() == "POST";
    sender.ready().await.expect("a connection that stays open");
    let answer = sender.send_request(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = to_bytes(Body::new(answer.into_body()), BODY_MAX).await.expect("a whole answer");
    let outcome = posted.then(|| serde_json::from_slice::<serde_json::Value>(&body).ok());
    match outcome.flatten().as_ref().and_then(|body| body["outcome"].as_str()) {
        Some(outcome) => format!("{status} {outcome}"),
        None => status.to_string(),
    }
}

/// `127.0.0.1:8620` of `http://127.0.0.1:8620`.
pub(crate) fn authority(url: &str) -> String {
    url.strip_prefix("http://").expect("only http://").to_owned()
}
