//! The worker's HTTP face: status and refresh for those who may, health and metrics for everybody.
//!
//! - `listen`: connections, so many at once.
//! - `guard`: who may ask what.
//! - `problem`: errors as `application/problem+json` (RFC 9457).
//! - `routes`: the calls.

mod guard;
mod listen;
mod problem;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::timeout::TimeoutLayer;
use zhongkong_coordinator::Handle;
use zhongkong_core::ports::Store;

use self::guard::Guard;
use crate::config::HttpConfig;

/// The largest body that is read.
const BODY_MAX: usize = 64 * 1024;
/// The longest that a request may take: the longest wait for a refresh, and then some.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);

/// What every call works with; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    handle: Handle,
    store: Arc<dyn Store>,
    metrics: PrometheusMetrics,
    guard: watch::Sender<Arc<Guard>>,
}

#[derive(Clone)]
struct PrometheusMetrics(PrometheusHandle);

impl std::fmt::Debug for PrometheusMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrometheusMetrics")
    }
}

impl Api {
    pub(crate) fn new(
        handle: Handle,
        store: Arc<dyn Store>,
        metrics: PrometheusHandle,
        config: &HttpConfig,
    ) -> Self {
        let guard = watch::Sender::new(Arc::new(Guard::new(config)));
        Self { handle, store, metrics: PrometheusMetrics(metrics), guard }
    }

    /// Takes the bearer tokens of `config` from now on.
    pub(crate) fn replace_tokens(&self, config: &HttpConfig) {
        self.guard.send_replace(Arc::new(Guard::new(config)));
    }

    fn router(self) -> Router {
        let guarded = Router::new()
            .route("/v1/credentials", get(routes::credentials))
            .route("/v1/credentials/{id}", get(routes::credential))
            .route("/v1/credentials/{id}/refresh", post(routes::refresh))
            .layer(from_fn_with_state(self.clone(), guard::check));
        let metrics = Router::new()
            .route("/metrics", get(routes::metrics))
            .layer(from_fn_with_state(self.clone(), guard::check_origin));
        Router::new()
            .merge(guarded)
            .route("/healthz", get(routes::live))
            .route("/readyz", get(routes::ready))
            .merge(metrics)
            .fallback(routes::nowhere)
            .method_not_allowed_fallback(routes::not_so)
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
            .with_state(self)
    }
}

/// Serves until dropped.
pub(crate) async fn serve(listener: TcpListener, api: Api) {
    listen::serve(listener, api.router()).await;
}
