//! `POST /v1/credentials/{id}/pause` and `…/resume`: no refresh of a credential, whoever asks, until that is lifted.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use zhongkong_coordinator::Selection;
use zhongkong_core::credential::CredentialId;

use super::Api;
use super::credentials::{CredentialReport, KindReport};
use super::describe::About;
use super::guard::Caller;
use super::problem::{Code, Problem};
use super::request::{Body, Id, Nothing, Query, Shape};
use crate::language::Language;
use crate::report::UnitReport;

/// Nothing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseBody {}

impl Shape for PauseBody {
    const SHAPE: &'static str = "{}";
}

const PROBLEMS: &[(Code, &str)] =
    &[(Code::StoreUnavailable, "Redis cannot be asked, or the worker is stopping or overloaded")];

pub(super) const PAUSE: About = About {
    name: "pauseCredential",
    summary: "No refresh from now on",
    details: "No kind of it is refreshed from now on, whoever asks; readers keep the tokens to their ends.",
    answer: "Its status; the same if it was paused already.",
    problems: PROBLEMS,
};

pub(super) const RESUME: About = About {
    name: "resumeCredential",
    summary: "The end of a pause",
    details: "The kinds of it are refreshed again, at once where that is owed.",
    answer: "Its status; the same if it was not paused.",
    problems: PROBLEMS,
};

/// `POST /v1/credentials/{id}/pause` (scope admin): [`PAUSE`].
pub(super) async fn pause(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id,
    language: Language,
    Query(Nothing {}): Query<Nothing>,
    Body(PauseBody {}): Body<PauseBody>,
) -> Result<Json<CredentialReport>, Problem> {
    tracing::info!(credential.id = %id, caller = caller.name(), "somebody asks for a pause");
    let by = api.asked_by(&caller);
    api.pause_or_resume(id, (true, &by), language).await
}

/// `POST /v1/credentials/{id}/resume` (scope admin): [`RESUME`].
pub(super) async fn resume(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id,
    language: Language,
    Query(Nothing {}): Query<Nothing>,
    Body(PauseBody {}): Body<PauseBody>,
) -> Result<Json<CredentialReport>, Problem> {
    tracing::info!(credential.id = %id, caller = caller.name(), "somebody ends a pause");
    let by = api.asked_by(&caller);
    api.pause_or_resume(id, (false, &by), language).await
}

impl Api {
    async fn pause_or_resume(
        &self,
        id: CredentialId,
        (pause, by): (bool, &str),
        language: Language,
    ) -> Result<Json<CredentialReport>, Problem> {
        let views = self.handle.views(Selection::One(id.clone())).await?;
        let provider = views.first().ok_or_else(|| Problem::unknown_credential(&id))?.provider;
        let mut kinds = Vec::with_capacity(views.len());
        for unit in views.into_iter().map(|view| view.unit) {
            let asked = if pause {
                self.store.pause(&unit, by).await
            } else {
                self.store.resume(&unit, by).await
            };
            let observed = asked.map_err(|error| Problem::store_unavailable(error.to_string()))?;
            let (state, now_ms) = (&observed.state, observed.now_ms);
            let mut report = UnitReport::new(&unit, None, state, now_ms, language);
            report.refresh_in = report.refresh_in.filter(|_| !state.is_paused());
            kinds.push(KindReport { report, key: self.store.keys().reader(&unit) });
        }
        Ok(Json(CredentialReport { id: id.to_string(), provider, store_up: true, kinds }))
    }
}
