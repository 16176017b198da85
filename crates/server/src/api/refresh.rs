//! `POST /v1/credentials/{id}/refresh`: a refresh on demand.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use zhongkong_core::credential::Unit;

use super::Api;
use super::guard::Caller;
use super::problem::Problem;
use super::request::{Body, Id, Nothing, Query, Shape, kind};

/// The longest wait for a refresh that somebody asked for.
const REFRESH_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshBody {
    kind: Option<String>,
    #[serde(default)]
    force: bool,
}

impl Shape for RefreshBody {
    const SHAPE: &'static str = "{\"kind\"?: text, \"force\"?: true or false}";
}

/// `POST /v1/credentials/{id}/refresh` `{"kind"?, "force"?}` (scope admin): refreshes if that is owed, or by `force`.
///
/// - 200: the token to use now, `refreshed`, and `outcome`: `refreshed`, `still_valid`, `deferred` (with
///   `retry_after`, in seconds) or `paused` (an operator wants no refresh).
/// - 400 `invalid_request`: the body is no such JSON, is larger than 64 KiB or has another `Content-Type`; the address
///   has parameters, or its id is not UTF-8.
/// - 404 `unknown_credential`: it is not configured on this worker, or not with this kind.
/// - 408 `slow_request`: the body did not come in time.
/// - 502 `refused_by_upstream`: with the upstream's code, our advice and `Retry-After`.
/// - 503 `no_valid_token`: there is none now, and the refresh brought none; with `Retry-After`.
/// - 503 `store_unavailable`: Redis cannot be asked, or the worker is stopping or overloaded.
pub(super) async fn refresh(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id,
    Query(Nothing {}): Query<Nothing>,
    Body(RefreshBody { kind: asked, force }): Body<RefreshBody>,
) -> Result<Response, Problem> {
    let unit = Unit { id, kind: kind(asked.as_deref())? };
    tracing::info!(
        credential.id = %unit.id, kind = %unit.kind, force, caller = caller.name(),
        "somebody asks for a refresh"
    );
    let forced_by = force.then(|| api.asked_by(&caller));
    let answer = api.handle.refresh(unit.clone(), forced_by, REFRESH_WAIT).await?;
    api.outcome(&unit, answer).await
}
