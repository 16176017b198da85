//! The answer to those who asked for another token: the one to use now, and what came of it.

use axum::Json;
use schemars::JsonSchema;
use serde::Serialize;
use zhongkong_coordinator::{PAUSED_FOR, RefreshAnswer};
use zhongkong_core::credential::Unit;

use super::Api;
use super::problem::{Problem, seconds_to_wait};
use super::token::{TokenAnswer, next_chance};
use crate::language::Language;
use crate::report::RefusalReport;

/// The token to use now, and what came of the refresh.
// Has no `Debug`, because it holds a token.
#[derive(Serialize, JsonSchema)]
pub(super) struct RefreshedToken {
    #[serde(flatten)]
    token: TokenAnswer,
    /// Whether the token is another one because of this call.
    refreshed: bool,
    outcome: Outcome,
    /// Seconds after which to ask again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// What came of a refresh.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Refreshed,
    AlreadyNewer,
    StillValid,
    Deferred,
    Paused,
}

impl Api {
    /// The answer that `answer` leads to; 502 `refused_by_upstream`, 503 `no_valid_token` or `store_unavailable`.
    pub(super) async fn outcome(
        &self,
        unit: &Unit,
        answer: RefreshAnswer,
    ) -> Result<Json<RefreshedToken>, Problem> {
        let (refreshed, outcome, retry_after) = match answer {
            RefreshAnswer::Refreshed => (true, Outcome::Refreshed, None),
            RefreshAnswer::AlreadyNewer => (false, Outcome::AlreadyNewer, None),
            RefreshAnswer::NotOwed | RefreshAnswer::Unchanged | RefreshAnswer::StillValid => {
                (false, Outcome::StillValid, None)
            }
            RefreshAnswer::Deferred { retry_after } => {
                (false, Outcome::Deferred, Some(retry_after))
            }
            RefreshAnswer::Paused => (false, Outcome::Paused, Some(PAUSED_FOR)),
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
        Ok(Json(RefreshedToken {
            token: TokenAnswer::new(unit, &published),
            refreshed,
            outcome,
            retry_after: retry_after.map(seconds_to_wait),
        }))
    }
}
