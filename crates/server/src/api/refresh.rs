//! `POST /v1/credentials/{id}/refresh`: a refresh on demand.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use zhongkong_core::credential::Unit;

use super::Api;
use super::describe::About;
use super::guard::Caller;
use super::outcome::RefreshedToken;
use super::problem::{Code, Problem};
use super::request::{Body, Id, Nothing, Query, Shape, kind};
use crate::schemas;

/// The longest wait for a refresh that somebody asked for.
const REFRESH_WAIT: Duration = Duration::from_secs(10);

/// Which token is to be refreshed, and whether also if that is not owed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshBody {
    /// `access_token` if it is not given.
    #[schemars(with = "Option<schemas::Kind>")]
    kind: Option<String>,
    /// Whether the token is replaced also if no refresh is owed.
    #[serde(default)]
    force: bool,
}

impl Shape for RefreshBody {
    const SHAPE: &'static str = "{\"kind\"?: text, \"force\"?: true or false}";
}

pub(super) const REFRESH: About = About {
    name: "refreshToken",
    summary: "A refresh on demand",
    details: "Refreshes if that is owed, or by `force`. The outcome is `refreshed`, `still_valid` (no refresh was owed), \
              `deferred` or `paused` (an operator wants no refresh).",
    answer: "The token to use now, and what came of it.",
    problems: &[
        (Code::RefusedByUpstream, "with the upstream's code, and our advice"),
        (Code::NoValidToken, "there is none now, and the refresh brought none"),
        (Code::StoreUnavailable, "Redis cannot be asked, or the worker is stopping or overloaded"),
    ],
};

/// `POST /v1/credentials/{id}/refresh` `{"kind"?, "force"?}` (scope admin): [`REFRESH`].
pub(super) async fn refresh(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id,
    Query(Nothing {}): Query<Nothing>,
    Body(RefreshBody { kind: asked, force }): Body<RefreshBody>,
) -> Result<Json<RefreshedToken>, Problem> {
    let unit = Unit { id, kind: kind(asked.as_deref())? };
    tracing::info!(
        credential.id = %unit.id, kind = %unit.kind, force, caller = caller.name(),
        "somebody asks for a refresh"
    );
    let forced_by = force.then(|| api.asked_by(&caller));
    let answer = api.handle.refresh(unit.clone(), forced_by, REFRESH_WAIT).await?;
    api.outcome(&unit, answer).await
}
