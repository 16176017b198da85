//! The answer to those who asked for another token: the one to use now, and what came of it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use zhongkong_coordinator::{PAUSED_FOR, RefreshAnswer};
use zhongkong_core::credential::Unit;

use super::Api;
use super::problem::{Problem, seconds_to_wait};
use super::token::{TokenAnswer, next_chance};
use crate::language::Language;
use crate::report::RefusalReport;

/// The token to use now, and what came of the refresh.
#[derive(Serialize)]
struct RefreshedToken<'a> {
    #[serde(flatten)]
    token: TokenAnswer<'a>,
    refreshed: bool,
    outcome: &'static str,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Api {
    /// The answer that `answer` leads to; 502 `refused_by_upstream`, 503 `no_valid_token` or `store_unavailable`.
    pub(super) async fn outcome(
        &self,
        unit: &Unit,
        answer: RefreshAnswer,
    ) -> Result<Response, Problem> {
        let (refreshed, outcome, retry_after) = match answer {
            RefreshAnswer::Refreshed => (true, "refreshed", None),
            RefreshAnswer::AlreadyNewer => (false, "already_newer", None),
            RefreshAnswer::NotOwed | RefreshAnswer::Unchanged | RefreshAnswer::StillValid => {
                (false, "still_valid", None)
            }
            RefreshAnswer::Deferred { retry_after } => (false, "deferred", Some(retry_after)),
            RefreshAnswer::Paused => (false, "paused", Some(PAUSED_FOR)),
            RefreshAnswer::Failed { refusal, now_ms } => {
                let refusal = RefusalReport::new(unit.kind, &refusal, now_ms, Language::English);
                return Err(Problem::refused_by_upstream(refusal));
            }
        };
        let published = self.published(unit).await?;
        let Some(published) = published else {
            let wait = match retry_after {
                Some(wait) => wait,
                None => next_chance(&self.view(unit).await?),
            };
            return Err(Problem::no_valid_token(unit, wait));
        };
        let body = RefreshedToken {
            token: TokenAnswer::new(unit, &published),
            refreshed,
            outcome,
            retry_after: retry_after.map(seconds_to_wait),
        };
        Ok(Json(body).into_response())
    }
}
