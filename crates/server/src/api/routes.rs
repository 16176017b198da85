//! The calls.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use zhongkong_coordinator::{RefreshAnswer, UnitView};
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::ports::Published;

use super::Api;
use super::problem::Problem;
use crate::language::Language;
use crate::report::{UnitReport, next_refresh};

/// The longest wait for a refresh that somebody asked for.
const REFRESH_WAIT: Duration = Duration::from_secs(10);

/// A credential and its kinds.
#[derive(Debug, Serialize)]
struct CredentialReport {
    id: String,
    provider: &'static str,
    kinds: Vec<UnitReport>,
}

/// The body of a refresh.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefreshBody {
    kind: Option<String>,
    #[serde(default)]
    force: bool,
}

/// The token to use now, and what came of the refresh.
#[derive(Serialize)]
struct RefreshedToken<'a> {
    id: &'a CredentialId,
    kind: Kind,
    token: &'a str,
    expires_in: u64,
    expires_at: u64,
    generation: u64,
    refreshed: bool,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// `GET /v1/credentials`: the status of every credential.
pub(super) async fn credentials(State(api): State<Api>) -> Result<Response, Problem> {
    let views = api.handle.views(None).await?;
    let reports: Vec<CredentialReport> = views.iter().map(report).collect();
    Ok(Json(reports).into_response())
}

/// `GET /v1/credentials/{id}`: the status of one; 404 `unknown_credential`.
pub(super) async fn credential(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = named(id)?;
    let views = api.handle.views(Some(known(&id)?)).await?;
    let view = views.first().ok_or_else(|| Problem::unknown_credential(&id))?;
    Ok(Json(report(view)).into_response())
}

/// `POST /v1/credentials/{id}/refresh`: refreshes if that is owed, or by `force`; 400, 404, 502 `refused_by_upstream`, 503.
pub(super) async fn refresh(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let id = named(id)?;
    let body = body.map_err(|error| Problem::invalid_request(error.body_text()))?;
    let RefreshBody { kind, force } = parse(&headers, &body)?;
    let kind = kind.map_or(Ok(Kind::AccessToken), |kind| kind.parse());
    let kind = kind.map_err(|error| Problem::invalid_request(error.to_string()))?;
    let unit = Unit { id: known(&id)?, kind };
    let answer = api.handle.refresh(unit.clone(), force, REFRESH_WAIT).await?;
    let (refreshed, outcome, retry_after) = match answer {
        RefreshAnswer::Refreshed => (true, "refreshed", None),
        RefreshAnswer::AlreadyNewer => (false, "already_newer", None),
        RefreshAnswer::NotOwed | RefreshAnswer::Unchanged | RefreshAnswer::StillValid => {
            (false, "still_valid", None)
        }
        RefreshAnswer::Deferred { retry_after } => (false, "deferred", Some(retry_after)),
        RefreshAnswer::Failed { state, retry_after } => {
            let now_ms =
                state.retry_at_ms.saturating_sub(zhongkong_core::clock::millis(retry_after));
            let report = UnitReport::new(&unit, None, &state, now_ms, Language::English);
            let code = state.error_code;
            match report.refusals.into_iter().rfind(|refusal| refusal.code == code) {
                Some(refusal) if code.is_some() => {
                    return Err(Problem::refused_by_upstream(refusal));
                }
                _ => (false, "deferred", Some(retry_after)),
            }
        }
    };
    let token = api.store.token(&unit).await;
    let token = token.map_err(|error| Problem::store_unavailable(error.to_string()))?;
    let Some(Published { token, left, generation, expires_at_ms }) = token else {
        return Err(Problem::no_valid_token(&unit.id, retry_after.unwrap_or_default()));
    };
    let body = RefreshedToken {
        id: &unit.id,
        kind,
        token: token.expose(),
        expires_in: left.as_secs(),
        expires_at: expires_at_ms / 1_000,
        generation,
        refreshed,
        outcome,
        retry_after: retry_after.map(|wait| wait.as_secs().max(1)),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// `GET /healthz`: the process serves.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: Redis answers, and the worker is not about to end.
pub(super) async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    let health = api.handle.health();
    if health.stopping {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if !health.store_up {
        (StatusCode::SERVICE_UNAVAILABLE, "redis does not answer\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// `GET /metrics`: Prometheus text.
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.metrics.0.render())
}

/// Any other address.
pub(super) async fn nowhere() -> Problem {
    Problem::not_found()
}

/// A known address, and a method that it does not have.
pub(super) async fn not_so() -> Problem {
    Problem::method_not_allowed()
}

fn named(id: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(id) = id.map_err(|error| Problem::invalid_request(error.body_text()))?;
    Ok(id)
}

fn known(id: &str) -> Result<CredentialId, Problem> {
    id.parse().map_err(|_| Problem::unknown_credential(id))
}

fn report(view: &UnitView) -> CredentialReport {
    let state = view.state.clone().unwrap_or_default();
    let mut kind = UnitReport::new(&view.unit, None, &state, view.now_ms, Language::English);
    kind.known = view.state.is_some();
    if let Some(outlook) = &view.outlook {
        kind.refresh_in = next_refresh(outlook, view.now_ms);
    }
    CredentialReport { id: view.unit.id.to_string(), provider: view.provider, kinds: vec![kind] }
}

/// The body as JSON; no body at all is an empty object.
fn parse(headers: &HeaderMap, body: &[u8]) -> Result<RefreshBody, Problem> {
    if body.is_empty() {
        return Ok(RefreshBody::default());
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(Problem::invalid_request("the body needs Content-Type: application/json"));
    }
    // Where, and not what: a body may hold what should not be repeated.
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let detail = format!(
            "line {line}, column {column}: expected {{\"kind\"?: text, \"force\"?: true or false}}"
        );
        Problem::invalid_request(detail)
    })
}
