//! `GET /healthz`, `GET /readyz`, `GET /metrics`: for those who look after the worker. They need no bearer token.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::Api;

/// `GET /healthz`.
///
/// - 200: the process serves.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`.
///
/// - 200: Redis answers, and the worker is not about to end.
/// - 503: one of them is not so; the body says which, as plain text.
pub(super) async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    let health = api.handle.health();
    if health.stopping {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if !health.store_up {
        (StatusCode::SERVICE_UNAVAILABLE, "redis does not answer, or refuses: see the log\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// `GET /metrics`.
///
/// - 200: Prometheus text.
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.metrics.0.render())
}
