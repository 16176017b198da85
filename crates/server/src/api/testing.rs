//! What the tests of the calls share: a worker whose Redis is away, and bodies that misbehave.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, StatusCode};
use hyper::body::Frame;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tokio::task::JoinSet;
use tower::ServiceExt;
use zhongkong_coordinator::Coordinator;
use zhongkong_coordinator::failpoints::Failpoints;
use zhongkong_core::clock::Clock;

use super::listen::Peer;
use super::routes::{self, ROUTES, Route};
use super::{Api, openapi};
use crate::clock::BootClock;
use crate::config::{Config, Environment};
use crate::wiring;

/// The one credential.
pub(super) const ID: &str = "wx-test";
/// Nothing listens on this port, neither a Redis nor an upstream.
const NOBODY: &str = "127.0.0.1:1";

/// A worker as it is, but for its sockets: calls are made on its router.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) router: Router,
    /// How many have asked: each from another address.
    asked: AtomicU32,
    _coordinator: JoinSet<()>,
}

impl Worker {
    /// A worker whose Redis is away, with `toml` added to its configuration.
    pub(super) fn without_redis(toml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("zhongkong.toml");
        let account = format!(
            "[redis]\nurl = \"redis://{NOBODY}\"\n{toml}\n[[credentials]]\nprovider = \"wechat\"\n\
             app_id = {ID:?}\nbase_url = \"http://{NOBODY}\"\nsecret = {{ env = \"WX_SECRET\" }}\n"
        );
        std::fs::write(&path, account).unwrap();
        let environment: Environment = [("WX_SECRET", "s3cret")].into_iter().collect();
        let config = Config::load(Some(&path), &environment).unwrap().config;

        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let store = Arc::new(wiring::store(&config.redis));
        let transport = wiring::transport(&config, Arc::clone(&clock)).unwrap();
        let credentials = wiring::credentials(&config, &transport).unwrap();
        let settings =
            wiring::coordinator(&config, config.worker.name.clone(), Failpoints::default());
        let identity = settings.worker.identity.clone();
        let (coordinator, handle) =
            Coordinator::new(settings, &credentials, Arc::<_>::clone(&store) as _, clock);
        let mut running = JoinSet::new();
        running.spawn(coordinator.run(std::future::pending()));
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let api = Api::new(handle, store, &identity, metrics, &config);
        let router = routes::router(api);
        Self { router, asked: AtomicU32::new(0), _coordinator: running }
    }

    pub(super) async fn ask(&self, request: Request) -> Answer {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        self.ask_from(Ipv4Addr::from_bits(0x0a00_0000 + nth), request).await
    }

    pub(super) async fn ask_from(&self, address: Ipv4Addr, mut request: Request) -> Answer {
        request.extensions_mut().insert(Peer { address: address.into(), encrypted: false });
        ask(&self.router, request).await
    }
}

/// What a call was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Panics unless the operation's description has such an answer.
    #[track_caller]
    fn fits(&self, operation: &Value) {
        let described = &operation["responses"][self.status.as_str()];
        assert!(described.is_object(), "no such status is described: {self:?}");
        let kind = self.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
        let kind = kind.map(|kind| kind.split(';').next().unwrap());
        let content = described["content"].as_object();
        let known = kind.map(|kind| content.and_then(|content| content.get(kind)));
        assert!(known != Some(None), "no such content is described: {self:?}");
        if kind == Some("application/problem+json") && !self.body.is_empty() {
            let codes = &described["content"]["application/problem+json"]["schema"]["allOf"][1];
            let codes = codes["properties"]["code"]["enum"].as_array().unwrap();
            assert!(codes.contains(&self.code().into()), "no such code is described: {self:?}");
        }
        for (name, header) in described["headers"].as_object().unwrap() {
            if let Some(value) = header["schema"].get("const") {
                assert_eq!(self.headers[name].to_str().unwrap(), value, "{name}: {self:?}");
            }
        }
    }

    /// The `code` of a problem that is one in every way; panics at anything else.
    #[track_caller]
    pub(super) fn code(&self) -> String {
        let content_type = self.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
        assert_eq!(content_type, Some("application/problem+json"), "{self:?}");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Asks, and panics at an answer that is not described.
pub(super) async fn ask(router: &Router, request: Request) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let Ok(response) = router.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    // A stream of events has no end.
    let endless = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let body = if endless { Body::empty() } else { body };
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let answer = Answer { status: parts.status, headers: parts.headers, body };
    if let Some(operation) = described(&method, &path) {
        answer.fits(&operation);
    }
    answer
}

/// The description of a call; none if there is no such call.
pub(super) fn described(method: &Method, path: &str) -> Option<Value> {
    let fits = |route: &Route| {
        let (parts, given) = (route.path.split('/'), path.split('/'));
        let same = |(part, given): (&str, &str)| match part.strip_prefix('{') {
            Some(_) => !given.is_empty(),
            None => part == given,
        };
        parts.clone().count() == given.clone().count() && parts.zip(given).all(same)
    };
    let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
    let method = method.as_str().to_ascii_lowercase();
    let route = ROUTES.iter().find(|route| fits(route))?;
    openapi::document()["paths"][route.path].get(method).cloned()
}

/// A request as a caller on this machine makes it.
pub(super) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(HOST, "localhost:8620")
}

/// No body.
pub(super) fn bare(request: http::request::Builder) -> Request {
    request.body(Body::empty()).unwrap()
}

/// A body of so many KiB; none: it never comes.
#[derive(Debug)]
pub(super) struct Flood {
    pub(super) kib: Option<usize>,
    /// So much of it was read.
    pub(super) read_kib: Arc<AtomicUsize>,
}

impl hyper::body::Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(kib) = self.kib else { return Poll::Pending };
        if self.read_kib.fetch_add(1, Ordering::Relaxed) == kib {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 1024])))))
    }
}
