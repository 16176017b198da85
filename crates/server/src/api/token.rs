//! `GET /v1/credentials/{id}/token`: the token itself, for readers that speak HTTP.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::ETAG;
use serde::Serialize;
use zhongkong_coordinator::{PAUSED_FOR, UnitView};
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::outlook::Outlook;
use zhongkong_core::ports::{Published, Store};

use super::Api;
use super::problem::Problem;
use super::request::{Id, KindQuery, Query, kind};

/// The token to use now.
#[derive(Serialize)]
pub(super) struct TokenAnswer<'a> {
    id: &'a CredentialId,
    kind: Kind,
    token: &'a str,
    /// Seconds.
    expires_in: u64,
    /// Seconds since 1970.
    expires_at: u64,
    generation: u64,
}

impl<'a> TokenAnswer<'a> {
    pub(super) fn new(unit: &'a Unit, published: &'a Published) -> Self {
        Self {
            id: &unit.id,
            kind: unit.kind,
            token: published.token.expose(),
            expires_in: published.left.as_secs(),
            expires_at: published.expires_at_ms / 1_000,
            generation: published.generation,
        }
    }
}

impl Api {
    /// The token that readers find in Redis now, if any; 503 `store_unavailable`.
    pub(super) async fn published(&self, unit: &Unit) -> Result<Option<Published>, Problem> {
        let published = self.store.token(unit).await;
        published.map_err(|error| Problem::store_unavailable(error.to_string()))
    }
}

/// `GET /v1/credentials/{id}/token?kind=` (scope token): the token to use now, read from Redis at each call.
///
/// `kind` is `access_token` if it is not given. The `ETag` is the token's generation. It is no reason to answer 304: a state
/// that was lost begins to count anew, and a reader must not keep a dead token for that.
///
/// - 200: `{"id", "kind", "token", "expires_in", "expires_at", "generation"}`, in seconds and seconds since 1970.
/// - 400 `invalid_request`: the kind or a parameter is unknown or repeated, or the id is not UTF-8.
/// - 404 `unknown_credential`: it is not configured on this worker, or not with this kind.
/// - 503 `no_valid_token`: there is none now; `Retry-After` says when the next refresh may run.
/// - 503 `store_unavailable`: Redis cannot be asked, or the worker is stopping or overloaded.
pub(super) async fn token(
    State(api): State<Api>,
    Id(id): Id,
    Query(KindQuery { kind: asked }): Query<KindQuery>,
) -> Result<Response, Problem> {
    let unit = Unit { id, kind: kind(asked.as_deref())? };
    let view = api.view(&unit).await?;
    let published = api.published(&unit).await?;
    let published = published.ok_or_else(|| Problem::no_valid_token(&unit, next_chance(&view)))?;
    let etag = format!("\"{}\"", published.generation);
    Ok(([(ETAG, etag)], Json(TokenAnswer::new(&unit, &published))).into_response())
}

/// Until the next refresh may run.
pub(super) fn next_chance(view: &UnitView) -> Duration {
    match view.outlook {
        Some(Outlook::Held { until_ms: at_ms } | Outlook::Owed { at_ms, .. }) => {
            Duration::from_millis(at_ms.saturating_sub(view.now_ms))
        }
        // Somebody deleted the key, and the copy is about to be published again; or nothing is known yet.
        Some(Outlook::NotOwed { .. } | Outlook::Newer { .. }) | None => Duration::ZERO,
        // Nobody knows when that ends.
        Some(Outlook::Paused) => PAUSED_FOR,
    }
}
