//! `GET /v1/credentials` and `GET /v1/credentials/{id}`: how the tokens are doing. Never a token.

use std::num::NonZeroU16;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use zhongkong_coordinator::{Selection, UnitView};

use super::Api;
use super::problem::Problem;
use super::request::{Id, Nothing, PageQuery, Query};
use crate::language::Language;
use crate::report::{UnitReport, next_refresh};

/// A credential and its kinds.
#[derive(Debug, Serialize)]
pub(super) struct CredentialReport {
    pub(super) id: String,
    pub(super) provider: &'static str,
    /// Whether Redis answers; if not, all this is as it was seen last.
    pub(super) store_up: bool,
    pub(super) kinds: Vec<KindReport>,
}

/// One of its kinds.
#[derive(Debug, Serialize)]
pub(super) struct KindReport {
    #[serde(flatten)]
    pub(super) report: UnitReport,
    /// The key in Redis that readers read.
    pub(super) key: String,
}

/// `GET /v1/credentials?after=&limit=` (scope read): the status of every credential, or of so many after the one named.
///
/// What refusals mean and what to do about them is in English, or in Chinese where `Accept-Language` prefers that.
///
/// - 200: a list of them, in the order of their ids.
/// - 400 `invalid_request`: a parameter is unknown, repeated or malformed.
/// - 503 `store_unavailable`: the worker is stopping or overloaded.
pub(super) async fn all(
    State(api): State<Api>,
    language: Language,
    Query(PageQuery { after, limit }): Query<PageQuery>,
) -> Result<Response, Problem> {
    let credentials = limit.map_or(usize::MAX, |limit| NonZeroU16::get(limit).into());
    let views = api.handle.views(Selection::Following { after, credentials }).await?;
    let reports: Vec<CredentialReport> = views
        .chunk_by(|one, next| one.unit.id == next.unit.id)
        .filter_map(|kinds| api.credential_report(kinds, language))
        .collect();
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
    language: Language,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Response, Problem> {
    let views = api.handle.views(Selection::One(id.clone())).await?;
    let report = api.credential_report(&views, language);
    Ok(Json(report.ok_or_else(|| Problem::unknown_credential(&id))?).into_response())
}

impl Api {
    /// The report of the credential whose kinds are `views`; none if there is not even one.
    fn credential_report(
        &self,
        views: &[UnitView],
        language: Language,
    ) -> Option<CredentialReport> {
        let first = views.first()?;
        Some(CredentialReport {
            id: first.unit.id.to_string(),
            provider: first.provider,
            store_up: self.handle.health().store_up,
            kinds: views.iter().map(|view| self.kind_report(view, language)).collect(),
        })
    }

    fn kind_report(&self, view: &UnitView, language: Language) -> KindReport {
        let state = view.state.clone().unwrap_or_default();
        let mut report = UnitReport::new(&view.unit, None, &state, view.now_ms, language);
        report.known = view.state.is_some();
        if let Some(outlook) = &view.outlook {
            report.refresh_in = next_refresh(outlook, view.now_ms);
        }
        KindReport { report, key: self.store.keys().reader(&view.unit) }
    }
}
