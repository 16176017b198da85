//! `GET /v1/credentials/{id}/history` and `GET /v1/history`: who refreshed, why, and with which outcome. Never a token.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zhongkong_coordinator::Selection;
use zhongkong_core::credential::CredentialId;
use zhongkong_redis::{HISTORY_MAX, HistoryPage};

use super::Api;
use super::describe::About;
use super::problem::{Code, Problem};
use super::request::{Id, Query, Shape, kind};
use crate::history::Line;
use crate::language::Language;
use crate::schemas;

/// So many lines where the caller does not say.
const LINES: usize = 50;
/// Credentials whose histories are read for all together: those that were claimed or marked last.
const CREDENTIALS_MAX: usize = 50;

/// `?kind=&limit=&before=`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// Of this kind alone; of all if it is not given.
    #[schemars(with = "Option<schemas::Kind>")]
    kind: Option<String>,
    /// At most so many; 50 if it is not given.
    #[schemars(range(min = 1, max = HISTORY_MAX))]
    limit: Option<NonZeroU16>,
    /// Older than this entry.
    #[schemars(with = "Option<schemas::Entry>")]
    before: Option<String>,
}

/// `?limit=`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LatestQuery {
    /// At most so many.
    #[schemars(range(min = 1, max = LINES))]
    limit: Option<NonZeroU16>,
}

impl Shape for HistoryQuery {
    const SHAPE: &'static str = "this address takes three parameters at most: kind, limit, 1 to 200, and before, an entry; \
         each once";
}

impl Shape for LatestQuery {
    const SHAPE: &'static str = "this address takes one parameter at most: limit, 1 to 50, once";
}

/// Lines, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HistoryPage")]
pub(super) struct Page {
    entries: Vec<Line>,
    /// What to ask for as `before` to see older ones; none if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schemas::Entry>")]
    next: Option<String>,
}

fn limited(limit: Option<NonZeroU16>, most: usize, shape: &str) -> Result<usize, Problem> {
    let limit = limit.map_or(LINES, |limit| limit.get().into());
    if limit > most { Err(Problem::invalid_request(shape)) } else { Ok(limit) }
}

pub(super) const ONE: About = About {
    name: "getHistory",
    summary: "What happened to the tokens of one credential",
    details: "Who refreshed, why, and with which outcome: the last 50 lines of its history, or so many, of one kind, before \
              the entry named. At most 200 lines are kept. Never a token.",
    answer: "Lines, newest first; `next` is the `before` of the next page.",
    problems: &[(
        Code::StoreUnavailable,
        "Redis cannot be asked, or the worker is stopping or overloaded",
    )],
};

pub(super) const LATEST: About = About {
    name: "getLatestHistory",
    summary: "What happened to all tokens lately",
    details: "The last 50 lines of all credentials of this worker, or fewer. With more than 50 credentials, of those that \
              were claimed or marked last. Never a token.",
    answer: "Lines, newest first.",
    problems: ONE.problems,
};

/// `GET /v1/credentials/{id}/history?kind=&limit=&before=` (scope read): [`ONE`].
pub(super) async fn one(
    State(api): State<Api>,
    Id(id): Id,
    language: Language,
    Query(HistoryQuery { kind: asked, limit, before }): Query<HistoryQuery>,
) -> Result<Json<Page>, Problem> {
    let limit = limited(limit, HISTORY_MAX, HistoryQuery::SHAPE)?;
    let kind = asked.map(|asked| kind(Some(&asked))).transpose()?;
    let before = before.map(|entry| entry.parse()).transpose();
    let before = before.map_err(|_| Problem::invalid_request(HistoryQuery::SHAPE))?;
    if api.handle.views(Selection::One(id.clone())).await?.is_empty() {
        return Err(Problem::unknown_credential(&id));
    }
    let history = api.store.history(&id, HistoryPage { kind, before, limit }).await;
    let history = history.map_err(|error| Problem::store_unavailable(error.to_string()))?;
    let last = history.entries.last().filter(|_| history.more);
    let next = last.map(|last| last.entry.to_string());
    let lines = history.entries.into_iter().map(|entry| Line::new(&id, entry, language));
    Ok(Json(Page { entries: lines.collect(), next }))
}

/// `GET /v1/history?limit=` (scope read): [`LATEST`].
pub(super) async fn latest(
    State(api): State<Api>,
    language: Language,
    Query(LatestQuery { limit }): Query<LatestQuery>,
) -> Result<Json<Page>, Problem> {
    let limit = limited(limit, LINES, LatestQuery::SHAPE)?;
    let all = Selection::Following { after: None, credentials: usize::MAX };
    let mut latest: BTreeMap<CredentialId, u64> = BTreeMap::new();
    for view in api.handle.views(all).await? {
        let touched_ms = view.state.map_or(0, |state| {
            state.claimed_at_ms.max(state.marked_at_ms).max(state.rejected_from_ms)
        });
        let known_ms = latest.entry(view.unit.id).or_default();
        *known_ms = touched_ms.max(*known_ms);
    }
    let mut ids: Vec<(u64, CredentialId)> = latest.into_iter().map(|(id, ms)| (ms, id)).collect();
    ids.sort_by(|a, b| b.cmp(a));
    let ids: Vec<CredentialId> = ids.into_iter().take(CREDENTIALS_MAX).map(|(_, id)| id).collect();
    let entries = api.store.histories(&ids, limit).await;
    let entries = entries.map_err(|error| Problem::store_unavailable(error.to_string()))?;
    let lines = entries.into_iter().map(|(id, entry)| Line::new(&id, entry, language));
    Ok(Json(Page { entries: lines.collect(), next: None }))
}
