//! `GET /v1/credentials/{id}/token`: the token itself, for readers that speak HTTP.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::ETAG;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use zhongkong_coordinator::{PAUSED_FOR, UnitView};
use zhongkong_core::credential::{CredentialId, Kind, Unit};
use zhongkong_core::outlook::Outlook;
use zhongkong_core::ports::{Published, Store};

use super::Api;
use super::describe::{About, Answers, Operation};
use super::problem::{Code, Problem};
use super::request::{Id, KindQuery, Query, kind};
use crate::schemas;

/// The token to use now.
// Has no `Debug`, because it holds it.
#[derive(Serialize, JsonSchema)]
pub(super) struct TokenAnswer {
    #[schemars(with = "schemas::CredentialId")]
    id: CredentialId,
    #[schemars(with = "schemas::Kind")]
    kind: Kind,
    /// The token itself: 1 to 4096 characters.
    token: String,
    /// Seconds that are left of its life.
    expires_in: u64,
    /// The end of its life, in seconds since 1970.
    expires_at: u64,
    /// Counts the tokens of this kind.
    generation: u64,
}

/// With the generation as its `ETag`.
pub(super) struct Tagged(TokenAnswer);

impl TokenAnswer {
    pub(super) fn new(unit: &Unit, published: &Published) -> Self {
        Self {
            id: unit.id.clone(),
            kind: unit.kind,
            token: published.token.expose().to_owned(),
            expires_in: published.left.as_secs(),
            expires_at: published.expires_at_ms / 1_000,
            generation: published.generation,
        }
    }
}

impl IntoResponse for Tagged {
    fn into_response(self) -> Response {
        ([(ETAG, format!("\"{}\"", self.0.generation))], Json(self.0)).into_response()
    }
}

impl Answers for Tagged {
    fn describe(operation: &mut Operation<'_>) {
        Json::<TokenAnswer>::describe(operation);
        let tag = json!({
            "description": "The token's generation",
            "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" }
        });
        operation.header(StatusCode::OK, "ETag", tag);
    }
}

impl Api {
    /// The token that readers find in Redis now, if any; 503 `store_unavailable`.
    pub(super) async fn published(&self, unit: &Unit) -> Result<Option<Published>, Problem> {
        let published = self.store.token(unit).await;
        published.map_err(|error| Problem::store_unavailable(error.to_string()))
    }
}

pub(super) const TOKEN: About = About {
    name: "getToken",
    summary: "The token to use now",
    details: "Read from Redis at each call. The `ETag` is the token's generation. It is no reason to answer 304: a state \
              that was lost begins to count anew, and a reader must not keep a dead token for that.",
    answer: "The token.",
    problems: &[
        (Code::NoValidToken, "there is none now; the next refresh may run after `Retry-After`"),
        (Code::StoreUnavailable, "Redis cannot be asked, or the worker is stopping or overloaded"),
    ],
};

/// `GET /v1/credentials/{id}/token?kind=` (scope token): [`TOKEN`].
pub(super) async fn token(
    State(api): State<Api>,
    Id(id): Id,
    Query(KindQuery { kind: asked }): Query<KindQuery>,
) -> Result<Tagged, Problem> {
    let unit = Unit { id, kind: kind(asked.as_deref())? };
    let view = api.view(&unit).await?;
    let published = api.published(&unit).await?;
    let published = published.ok_or_else(|| Problem::no_valid_token(&unit, next_chance(&view)))?;
    Ok(Tagged(TokenAnswer::new(&unit, &published)))
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
