//! `GET /v1/worker`: the worker that answers, its peers, and what the caller may do.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use zhongkong_coordinator::Health;
use zhongkong_core::clock::Clock;
use zhongkong_core::credential::Worker;

use super::Api;
use super::guard::Caller;
use super::problem::Problem;
use super::request::{Nothing, Query};
use crate::clock::BootClock;

/// A worker and its surroundings.
#[derive(Debug, Serialize)]
struct WorkerReport<'a> {
    worker: &'a str,
    version: &'static str,
    /// Whether Redis answers; if not, what is said of credentials is as it was seen last.
    store_up: bool,
    /// Seconds since that is so; none if Redis was not asked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_for: Option<u64>,
    /// Whether the worker is about to end.
    stopping: bool,
    caller: CallerReport<'a>,
    /// The workers that live, by their names; none while Redis does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    living: Option<Vec<Peer>>,
}

/// Who asks.
#[derive(Debug, Serialize)]
struct CallerReport<'a> {
    name: &'a str,
    scope: &'static str,
}

/// A worker that lives.
#[derive(Debug, Serialize)]
struct Peer {
    name: String,
    /// Tells this run of it from every other.
    identity: String,
    /// Whether it is the one that answers.
    this: bool,
}

/// `GET /v1/worker` (scope read): who answers, whether its Redis does, which workers live, and who asks.
///
/// - 200: `{"worker", "version", "store_up", "store_for"?, "stopping", "caller": {"name", "scope"}, "living"?}`.
/// - 400 `invalid_request`: the address has parameters.
pub(super) async fn worker(
    State(api): State<Api>,
    caller: Caller,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Response, Problem> {
    let Health { store_up, store_changed_at, stopping } = api.handle.health();
    let mut living = if store_up { api.store.living().await.ok() } else { None };
    if let Some(living) = &mut living {
        living.sort();
    }
    let peer = |identity: String| Peer {
        name: Worker::name_of(&identity).to_owned(),
        this: *identity == *api.identity,
        identity,
    };
    let report = WorkerReport {
        worker: Worker::name_of(&api.identity),
        version: env!("CARGO_PKG_VERSION"),
        store_up,
        store_for: store_changed_at.map(|at| BootClock.now().since(at).as_secs()),
        stopping,
        caller: CallerReport { name: caller.name(), scope: caller.scope().as_str() },
        living: living.map(|living| living.into_iter().map(peer).collect()),
    };
    Ok(Json(report).into_response())
}
