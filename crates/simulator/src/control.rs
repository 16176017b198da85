//! The orders and questions of [`Handle`] over HTTP, below `/_simulator`.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, body::Bytes};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::account::{AccountChange, UnknownAccount};
use crate::book::Pool;
use crate::faults::{Fault, Hold};
use crate::handle::Handle;

pub(crate) fn routes() -> Router<Handle> {
    Router::new()
        .route("/journal", get(journal))
        .route("/summary", get(summary))
        .route("/alive", get(alive))
        .route("/faults", get(faults).post(set_fault).delete(clear_faults))
        .route("/hold", post(hold).delete(clear_holds))
        .route("/held", get(held))
        .route("/release", post(release))
        .route("/foreign_refresh", post(foreign_refresh))
        .route("/revoke", post(revoke))
        .route("/advance", post(advance))
        .route("/accounts/{app_id}", put(change_account))
        .route("/accounts/{app_id}/confirm", post(confirm))
        .route("/accounts/{app_id}/refuse", post(refuse))
}

/// An order that cannot be carried out.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<UnknownAccount> for Refusal {
    fn from(error: UnknownAccount) -> Self {
        Self(StatusCode::NOT_FOUND, error.to_string())
    }
}

/// Reads a body as JSON whatever its content type, so that a bare `curl -d` works.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))
}

#[derive(Deserialize)]
struct OfAccount {
    app_id: Option<String>,
}

async fn journal(State(handle): State<Handle>, Query(of): Query<OfAccount>) -> Response {
    let view = match of.app_id {
        Some(app_id) => handle.journal_of(&app_id),
        None => handle.journal(),
    };
    Json(view).into_response()
}

async fn summary(State(handle): State<Handle>, Query(of): Query<OfAccount>) -> Response {
    Json(handle.summary(&of.app_id.unwrap_or_default())).into_response()
}

#[derive(Deserialize)]
struct Alive {
    app_id: String,
    token: String,
}

async fn alive(State(handle): State<Handle>, Query(of): Query<Alive>) -> Response {
    Json(json!({ "alive": handle.is_alive(&of.app_id, &of.token) })).into_response()
}

async fn faults(State(handle): State<Handle>) -> Response {
    Json(handle.faults()).into_response()
}

async fn set_fault(State(handle): State<Handle>, body: Bytes) -> Result<StatusCode, Refusal> {
    let fault: Fault = read(&body)?;
    handle.set_fault(fault.kind, fault.scope);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(handle): State<Handle>) -> StatusCode {
    handle.clear_faults();
    StatusCode::NO_CONTENT
}

async fn hold(State(handle): State<Handle>, body: Bytes) -> Result<StatusCode, Refusal> {
    let hold: Hold = read(&body)?;
    handle.hold(hold.point, hold.scope);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_holds(State(handle): State<Handle>) -> StatusCode {
    handle.clear_holds();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct AtLeast {
    #[serde(default)]
    at_least: usize,
}

/// With `at_least`, answers as soon as so many calls stand still.
async fn held(State(handle): State<Handle>, Query(wanted): Query<AtLeast>) -> Response {
    Json(handle.wait_held(wanted.at_least).await).into_response()
}

#[derive(Deserialize)]
struct Release {
    call: Option<u64>,
}

async fn release(State(handle): State<Handle>, body: Bytes) -> Result<Response, Refusal> {
    let order: Release = read(&body)?;
    let released = match order.call {
        Some(call) => usize::from(handle.release(call)),
        None => handle.release_all(),
    };
    Ok(Json(json!({ "released": released })).into_response())
}

#[derive(Deserialize)]
struct ForeignRefresh {
    app_id: String,
    #[serde(default)]
    pool: Pool,
}

async fn foreign_refresh(State(handle): State<Handle>, body: Bytes) -> Result<Response, Refusal> {
    let order: ForeignRefresh = read(&body)?;
    let token = handle.foreign_refresh(&order.app_id, order.pool)?;
    Ok(Json(token).into_response())
}

#[derive(Deserialize)]
struct Revoke {
    token: Option<String>,
    app_id: Option<String>,
    #[serde(default)]
    forget: bool,
}

/// The token named, or else the account's newest.
async fn revoke(State(handle): State<Handle>, body: Bytes) -> Result<Response, Refusal> {
    let order: Revoke = read(&body)?;
    let newest = || handle.newest(order.app_id.as_deref().unwrap_or_default());
    let token = order.token.clone().or_else(|| newest().map(|token| token.value));
    let revoked = token.is_some_and(|token| handle.revoke(&token, order.forget));
    Ok(Json(json!({ "revoked": revoked })).into_response())
}

#[derive(Deserialize)]
struct Advance {
    ms: u64,
}

async fn advance(State(handle): State<Handle>, body: Bytes) -> Result<Response, Refusal> {
    let order: Advance = read(&body)?;
    handle.advance(Duration::from_millis(order.ms));
    Ok(Json(json!({ "now_ms": handle.now_ms() })).into_response())
}

async fn change_account(
    State(handle): State<Handle>,
    Path(app_id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let change: AccountChange = read(&body)?;
    handle.change_account(&app_id, change)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct OfCaller {
    ip: IpAddr,
}

async fn confirm(
    State(handle): State<Handle>,
    Path(app_id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let of: OfCaller = read(&body)?;
    handle.confirm(&app_id, of.ip)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn refuse(
    State(handle): State<Handle>,
    Path(app_id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let of: OfCaller = read(&body)?;
    handle.refuse(&app_id, of.ip)?;
    Ok(StatusCode::NO_CONTENT)
}
