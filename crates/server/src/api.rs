//! The worker's HTTP face: status, tokens and refreshes for those who may, health and metrics for everybody.
//!
//! - `listen`: connections, so many at once, encrypted or not.
//! - `routes`: which calls there are and what each needs; what holds for all of them.
//! - `guard`: who may ask what; `sign_ins`: how often one may be wrong about that.
//! - `request`: ids, queries and bodies, read strictly.
//! - `credentials`, `history`, `token`, `report`, `refresh`, `pause`, `jssdk`, `worker`, `events`, `health`: the calls;
//!   `outcome`: what several of them answer.
//! - `wechat`: tokens as WeChat would answer for them.
//! - `dashboard`: the page for people, and its files.
//! - `problem`: errors as `application/problem+json` (RFC 9457).
//! - `describe`, `openapi`: the calls, described by their functions' types, as an OpenAPI document.
//!
//! # Errors of every call
//! Each is a problem with a stable `code`; those of one call alone stand before its function.
//!
//! | Status | Code | When |
//! |---|---|---|
//! | 400 | `invalid_request` | `Host`, `Origin`, `Authorization`, `Content-Type` or `Sec-Fetch-Site` is repeated; `Host` is malformed, or absent from HTTP/1.1 |
//! | 401 | `unauthorized` | the call needs a scope, and there is no known bearer token |
//! | 429 | `too_many_attempts` | likewise, and many calls from this address had a wrong one; `Retry-After` says when one is looked at again. A right one of 16 characters and more is never refused for that |
//! | 403 | `forbidden` | the bearer token's scope is too low; without `http.tokens`: `Host` is no loopback name, or a web page of another origin asks |
//! | 404 | `not_found` | nothing is at this address |
//! | 405 | `method_not_allowed` | the address does not know the method; `Allow` lists those that it knows |
//! | 500 | `internal` | a defect of this program; it is logged |
//! | 503 | `timeout` | the worker took too long |
//!
//! A `HEAD` request gets the headers of the `GET` request, and no body. Nothing that is answered may be cached, but for
//! the dashboard's files, whose address changes with them; nor framed, sniffed, or taken by a page of another origin.
//!
//! What is no HTTP never comes this far: hyper answers it with 400, or with 431 if there are too many headers or they
//! are too long, or 414 for the address, without a body, and closes the connection. Whoever does not finish the headers
//! of a request in time, or leaves an answer unread, finds the connection closed; so does whoever sends a body that
//! nobody asked for, after the answer. A body that is asked for has ten seconds.

mod credentials;
mod dashboard;
mod describe;
mod events;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod guard;
mod health;
mod history;
mod jssdk;
mod listen;
mod openapi;
#[cfg(test)]
mod openapi_tests;
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
mod scopes_tests;
mod sign_ins;
#[cfg(test)]
mod testing;
mod token;
mod wechat;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics_exporter_prometheus::PrometheusHandle;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use zhongkong_coordinator::{Handle, Selection, UnitView};
use zhongkong_core::credential::{Unit, Worker};
use zhongkong_redis::RedisStore;

use self::guard::{Caller, FAILED_SIGN_INS, Guard};
use self::listen::Limits;
use self::problem::Problem;
use self::sign_ins::SignIns;
use self::wechat::Services;
use crate::config::Config;

/// What every call works with; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    handle: Handle,
    store: Arc<RedisStore>,
    /// Tells this run of the worker from every other.
    identity: Arc<str>,
    metrics: PrometheusMetrics,
    guard: watch::Sender<Arc<Guard>>,
    sign_ins: Arc<Mutex<SignIns>>,
    tls: watch::Sender<Option<Arc<ServerConfig>>>,
    /// Those that ask as they would ask WeChat.
    services: watch::Sender<Arc<Services>>,
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
        config: &Config,
    ) -> Self {
        // It is there before the first one fails: from nothing to one is no rise.
        metrics::counter!(FAILED_SIGN_INS).increment(0);
        let http = &config.http;
        Self {
            handle,
            store,
            identity: identity.into(),
            metrics: PrometheusMetrics(metrics),
            guard: watch::Sender::new(Arc::new(Guard::new(http))),
            services: watch::Sender::new(Arc::new(Services::new(config))),
            sign_ins: Arc::default(),
            tls: watch::Sender::new(http.tls.as_ref().map(|tls| Arc::clone(&tls.server))),
            listeners: events::places(),
        }
    }

    /// Takes the bearer tokens and services of `config` from now on, and for new connections its certificate.
    /// Whether they are encrypted at all stays as it is.
    pub(crate) fn replace_access(&self, config: &Config) {
        self.guard.send_replace(Arc::new(Guard::new(&config.http)));
        self.services.send_replace(Arc::new(Services::new(config)));
        self.tls.send_if_modified(|current| match (current, &config.http.tls) {
            (Some(current), Some(new)) => {
                *current = Arc::clone(&new.server);
                true
            }
            _ => false,
        });
    }

    fn sign_ins(&self) -> MutexGuard<'_, SignIns> {
        // Whatever a panic left behind is a table of counts.
        self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the history says of who asks: the name of the bearer token, and which worker was asked.
    fn asked_by(&self, caller: &Caller) -> String {
        let name: String = caller.name().chars().filter(|c| !c.is_control()).take(64).collect();
        format!("{name}@{}", Worker::name_of(&self.identity))
    }

    /// `unit` as this worker sees it; 404 `unknown_credential` if it is not configured here, or not with this kind.
    async fn view(&self, unit: &Unit) -> Result<UnitView, Problem> {
        let views = self.handle.views(Selection::One(unit.id.clone())).await?;
        let view = views.into_iter().find(|view| view.unit == *unit);
        view.ok_or_else(|| Problem::unknown_unit(unit))
    }
}

/// Serves until dropped, in a process that may open so many files, if there is a limit to them.
pub(crate) async fn serve(listener: TcpListener, api: Api, open_files: Option<u64>) {
    let tls = api.tls.subscribe();
    listen::serve(listener, routes::router(api), tls, Limits::within(open_files)).await;
}
