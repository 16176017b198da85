//! `GET /v1/credentials` and `GET /v1/credentials/{id}`: how the tokens are doing. Never a token.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use zhongkong_coordinator::UnitView;

use super::Api;
use super::problem::Problem;
use super::request::{Id, Nothing, Query};
use crate::language::Language;
use crate::report::{UnitReport, next_refresh};

/// A credential and its kinds.
#[derive(Debug, Serialize)]
struct CredentialReport {
    id: String,
    provider: &'static str,
    /// Whether Redis answers; if not, all this is as it was seen last.
    store_up: bool,
    kinds: Vec<UnitReport>,
}

/// `GET /v1/credentials` (scope read): the status of every credential.
///
/// - 200: a list of them, in the order of their ids.
/// - 400 `invalid_request`: the address has parameters.
/// - 503 `store_unavailable`: the worker is stopping or overloaded.
pub(super) async fn all(
    State(api): State<Api>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Response, Problem> {
    let views = api.handle.views(None).await?;
    let store_up = api.handle.health().store_up;
    let reports: Vec<CredentialReport> = views.iter().map(|view| report(view, store_up)).collect();
    Ok(Json(reports).into_response())
}

/// `GET /v1/credentials/{id}` (scope read): the status of one.
///
/// - 200: its status, as in the list.
/// - 400 `invalid_request`: the address has parameters, or its id is not UTF-8.
/// - 404 `unknown_credential`: it is not configured on this worker.
/// - 503 `store_unavailable`: the worker is stopping or overloaded.
pub(super) async fn one(
    State(api): State<Api>,
    Id(id): Id,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Response, Problem> {
    let views = api.handle.views(Some(id.clone())).await?;
    let view = views.first().ok_or_else(|| Problem::unknown_credential(&id))?;
    Ok(Json(report(view, api.handle.health().store_up)).into_response())
}

fn report(view: &UnitView, store_up: bool) -> CredentialReport {
    let state = view.state.clone().unwrap_or_default();
    let mut kind = UnitReport::new(&view.unit, None, &state, view.now_ms, Language::English);
    kind.known = view.state.is_some();
    if let Some(outlook) = &view.outlook {
        kind.refresh_in = next_refresh(outlook, view.now_ms);
    }
    let (id, provider) = (view.unit.id.to_string(), view.provider);
    CredentialReport { id, provider, store_up, kinds: vec![kind] }
}
