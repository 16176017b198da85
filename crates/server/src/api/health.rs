//! `GET /healthz`, `GET /readyz`, `GET /metrics`: for those who look after the worker. They need no bearer token.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::Api;
use super::describe::{About, Answers, Operation};

pub(super) const LIVE: About = About {
    name: "getHealth",
    summary: "Whether the process serves",
    details: "For supervisors: it is not to be restarted because Redis is away.",
    answer: "It serves.",
    problems: &[],
};

pub(super) const READY: About = About {
    name: "getReadiness",
    summary: "Whether the worker can do its work",
    details: "For load balancers and rolling updates.",
    answer: "Redis answers, and the worker is not about to end.",
    problems: &[],
};

pub(super) const METRICS: About = About {
    name: "getMetrics",
    summary: "Metrics",
    details: "For Prometheus.",
    answer: "Prometheus' text format.",
    problems: &[],
};

/// `GET /healthz`: [`LIVE`].
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Whether the worker can do its work; if not, why.
#[derive(Clone, Copy, Debug)]
pub(super) enum Readiness {
    Ready,
    Stopping,
    StoreDown,
}

/// `GET /readyz`: [`READY`].
pub(super) async fn ready(State(api): State<Api>) -> Readiness {
    let health = api.handle.health();
    if health.stopping {
        Readiness::Stopping
    } else if !health.store_up {
        Readiness::StoreDown
    } else {
        Readiness::Ready
    }
}

impl IntoResponse for Readiness {
    fn into_response(self) -> Response {
        let unready = StatusCode::SERVICE_UNAVAILABLE;
        match self {
            Self::Ready => (StatusCode::OK, "ready\n"),
            Self::Stopping => (unready, "stopping\n"),
            Self::StoreDown => (unready, "redis does not answer, or refuses: see the log\n"),
        }
        .into_response()
    }
}

impl Answers for Readiness {
    fn describe(operation: &mut Operation<'_>) {
        operation.text(StatusCode::OK);
        operation.text(StatusCode::SERVICE_UNAVAILABLE);
        let said = "Redis does not answer, or the worker is about to end; the text says which.";
        operation.said(StatusCode::SERVICE_UNAVAILABLE, said);
    }
}

/// Metrics, as they are scraped.
#[derive(Debug)]
pub(super) struct Scrape(String);

/// `GET /metrics`: [`METRICS`].
pub(super) async fn metrics(State(api): State<Api>) -> Scrape {
    Scrape(api.metrics.0.render())
}

impl IntoResponse for Scrape {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], self.0).into_response()
    }
}

impl Answers for Scrape {
    fn describe(operation: &mut Operation<'_>) {
        operation.text(StatusCode::OK);
    }
}
