//! The worker's HTTP face: status, tokens and refreshes for those who may, health and metrics for everybody.
//!
//! - `listen`: connections, so many at once.
//! - `routes`: which calls there are and what each needs; what holds for all of them.
//! - `guard`: who may ask what.
//! - `request`: ids, queries and bodies, read strictly.
//! - `credentials`, `token`, `report`, `refresh`, `pause`, `jssdk`, `worker`, `events`, `health`: the calls; `outcome`: what
//!   several of them answer.
//! - `dashboard`: the page for people, and its files.
//! - `problem`: errors as `application/problem+json` (RFC 9457).
//!
//! # Errors of every call
//! Each is a problem with a stable `code`; those of one call alone stand at its function.
//!
//! | Status | Code | When |
//! |---|---|---|
//! | 400 | `invalid_request` | `Host`, `Origin`, `Authorization`, `Content-Type` or `Sec-Fetch-Site` is repeated; `Host` is malformed, or absent from HTTP/1.1 |
//! | 401 | `unauthorized` | the call needs a scope, and there is no known bearer token |
//! | 403 | `forbidden` | the bearer token's scope is too low; without `http.tokens`: `Host` is no loopback name, or a web page of another origin asks |
//! | 404 | `not_found` | nothing is at this address |
//! | 405 | `method_not_allowed` | the address does not know the method; `Allow` lists those that it knows |
//! | 500 | `internal` | a defect of this program; it is logged |
//! | 503 | `timeout` | the worker took too long |
//!
//! A `HEAD` request gets the headers of the `GET` request, and no body. Nothing that is answered may be cached, but for
//! the dashboard's files, whose address changes with them.
//!
//! What is no HTTP never comes this far: hyper answers it with 400, or with 431 if there are too many headers or they
//! are too long, without a body, and closes the connection. Whoever does not finish the headers of a request in time,
//! or leaves an answer unread, finds the connection closed.

mod credentials;
mod dashboard;
mod events;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod guard;
mod health;
mod jssdk;
mod listen;
mod outcome;
mod pause;
mod problem;
mod refresh;
mod report;
mod request;
mod routes;
#[cfg(test)]
mod routes_tests;
#[cfg(test)]
mod testing;
mod token;
mod worker;

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use zhongkong_coordinator::{Handle, Selection, UnitView};
use zhongkong_core::credential::Unit;
use zhongkong_redis::RedisStore;

use self::guard::Guard;
use self::listen::Limits;
use self::problem::Problem;
use crate::config::HttpConfig;

/// What every call works with; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    handle: Handle,
    store: Arc<RedisStore>,
    /// Tells this run of the worker from every other.
    identity: Arc<str>,
    metrics: PrometheusMetrics,
    guard: watch::Sender<Arc<Guard>>,
    /// Places for those who listen to events.
    listeners: Arc<Semaphore>,
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
        store: Arc<RedisStore>,
        identity: &str,
        metrics: PrometheusHandle,
        config: &HttpConfig,
    ) -> Self {
        let guard = watch::Sender::new(Arc::new(Guard::new(config)));
        let listeners = events::places();
        let metrics = PrometheusMetrics(metrics);
        Self { handle, store, identity: identity.into(), metrics, guard, listeners }
    }

    /// Takes the bearer tokens of `config` from now on.
    pub(crate) fn replace_tokens(&self, config: &HttpConfig) {
        self.guard.send_replace(Arc::new(Guard::new(config)));
    }

    /// `unit` as this worker sees it; 404 `unknown_credential` if it is not configured here, or not with this kind.
    async fn view(&self, unit: &Unit) -> Result<UnitView, Problem> {
        let views = self.handle.views(Selection::One(unit.id.clone())).await?;
        let view = views.into_iter().find(|view| view.unit == *unit);
        view.ok_or_else(|| Problem::unknown_unit(unit))
    }
}

/// Serves until dropped.
pub(crate) async fn serve(listener: TcpListener, api: Api) {
    listen::serve(listener, routes::router(api), Limits::default()).await;
}
