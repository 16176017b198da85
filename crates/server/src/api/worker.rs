//! `GET /v1/worker`: the worker that answers, its peers, and what the caller may do.

use axum::Json;
use axum::extract::State;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use zhongkong_coordinator::Health;
use zhongkong_core::clock::Clock;
use zhongkong_core::credential::Worker;

use super::Api;
use super::describe::About;
use super::guard::Caller;
use super::request::{Nothing, Query};
use crate::clock::BootClock;
use crate::config::Scope;

/// A worker and its surroundings.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WorkerReport {
    /// Its name.
    worker: String,
    /// Of this program.
    version: &'static str,
    /// Whether Redis answers; if not, what is said of credentials is as it was seen last.
    store_up: bool,
    /// Seconds since that is so; none if Redis was not asked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_for: Option<u64>,
    /// Whether the worker is about to end.
    stopping: bool,
    caller: CallerReport,
    /// The workers that live, by their names; none while Redis does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    living: Option<Vec<Peer>>,
}

/// Who asks.
#[derive(Debug, Serialize, JsonSchema)]
struct CallerReport {
    /// The name of the bearer token, or `loopback`.
    name: String,
    #[schemars(schema_with = "scopes")]
    scope: &'static str,
}

/// A worker that lives.
#[derive(Debug, Serialize, JsonSchema)]
struct Peer {
    name: String,
    /// Tells this run of it from every other.
    identity: String,
    /// Whether it is the one that answers.
    this: bool,
}

/// What a caller may do.
fn scopes(_: &mut SchemaGenerator) -> Schema {
    let scopes = [Scope::Read, Scope::Token, Scope::Admin].map(Scope::as_str);
    json_schema!({ "type": "string", "enum": scopes })
}

pub(super) const WORKER: About = About {
    name: "getWorker",
    summary: "The worker that answers",
    details: "Who answers, whether its Redis does, which workers live, and who asks.",
    answer: "The worker, its peers and the caller.",
    problems: &[],
};

/// `GET /v1/worker` (scope read): [`WORKER`].
pub(super) async fn worker(
    State(api): State<Api>,
    caller: Caller,
    Query(Nothing {}): Query<Nothing>,
) -> Json<WorkerReport> {
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
    Json(WorkerReport {
        worker: Worker::name_of(&api.identity).to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        store_up,
        store_for: store_changed_at.map(|at| BootClock.now().since(at).as_secs()),
        stopping,
        caller: CallerReport { name: caller.name().to_owned(), scope: caller.scope().as_str() },
        living: living.map(|living| living.into_iter().map(peer).collect()),
    })
}
