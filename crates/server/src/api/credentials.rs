//! `GET /v1/credentials` and `GET /v1/credentials/{id}`: how the tokens are doing. Never a token.

use std::num::NonZeroU16;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use zhongkong_coordinator::{Selection, UnitView};

use super::Api;
use super::describe::About;
use super::problem::{Code, Problem};
use super::request::{Id, Nothing, PageQuery, Query};
use crate::language::Language;
use crate::report::{UnitReport, next_refresh};
use crate::schemas;

/// A credential, and how each kind of its tokens is doing.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CredentialReport {
    #[schemars(with = "schemas::CredentialId")]
    pub(super) id: String,
    /// Which of the upstream's interfaces yields its tokens, as in the configuration.
    pub(super) provider: &'static str,
    /// Whether Redis answers; if not, all this is as it was seen last.
    pub(super) store_up: bool,
    pub(super) kinds: Vec<KindReport>,
}

/// One kind of token of a credential.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KindReport {
    #[serde(flatten)]
    pub(super) report: UnitReport,
    /// The key in Redis that readers read.
    pub(super) key: String,
}

pub(super) const ALL: About = About {
    name: "listCredentials",
    summary: "How all tokens are doing",
    details: "The status of every kind of every credential, in the order of their ids; or of so many credentials after \
              the one named. Never a token.",
    answer: "Their status.",
    problems: &[(Code::StoreUnavailable, "the worker is stopping or overloaded")],
};

pub(super) const ONE: About = About {
    name: "getCredential",
    summary: "How the tokens of one credential are doing",
    details: "The status of each of its kinds. Never a token.",
    answer: "Its status.",
    problems: &[(Code::StoreUnavailable, "the worker is stopping or overloaded")],
};

/// `GET /v1/credentials?after=&limit=` (scope read): [`ALL`].
pub(super) async fn all(
    State(api): State<Api>,
    language: Language,
    Query(PageQuery { after, limit }): Query<PageQuery>,
) -> Result<Json<Vec<CredentialReport>>, Problem> {
    let credentials = limit.map_or(usize::MAX, |limit| NonZeroU16::get(limit).into());
    let views = api.handle.views(Selection::Following { after, credentials }).await?;
    let reports = views
        .chunk_by(|one, next| one.unit.id == next.unit.id)
        .filter_map(|kinds| api.credential_report(kinds, language));
    Ok(Json(reports.collect()))
}

/// `GET /v1/credentials/{id}` (scope read): [`ONE`].
pub(super) async fn one(
    State(api): State<Api>,
    Id(id): Id,
    language: Language,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<CredentialReport>, Problem> {
    let views = api.handle.views(Selection::One(id.clone())).await?;
    let report = api.credential_report(&views, language);
    report.map(Json).ok_or_else(|| Problem::unknown_credential(&id))
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
