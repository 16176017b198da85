//! `POST /v1/credentials/{id}/report`: a reader's token was rejected ("passive refresh", 被动刷新).

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::json;
use zhongkong_coordinator::{PAUSED_FOR, RefreshAnswer};
use zhongkong_core::credential::Unit;
use zhongkong_core::token::{Fingerprint, TOKEN_MAX};

use super::Api;
use super::describe::About;
use super::outcome::RefreshedToken;
use super::problem::{Code, Problem};
use super::request::{Body, Id, Nothing, Query, Shape, kind};
use crate::schemas;

/// How long an answer is waited for unless the reader says so.
const WAIT: Duration = Duration::from_secs(10);
/// The longest that a reader may have to wait.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The rejected token, or its fingerprint.
// Has no `Debug`, because it may hold a token.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = one_of_two)]
pub(super) struct ReportBody {
    /// The rejected token.
    #[schemars(length(min = 1, max = TOKEN_MAX))]
    token: Option<String>,
    #[schemars(with = "Option<schemas::Fingerprint>")]
    fingerprint: Option<String>,
    /// `access_token` if it is not given.
    #[schemars(with = "Option<schemas::Kind>")]
    kind: Option<String>,
    /// How long an answer is waited for, 30 s at most; 10 s if it is not given.
    #[schemars(pattern(r"^(([0-9]|[12][0-9]|30)s|[0-9]{1,4}ms)$"), example = "10s")]
    wait: Option<String>,
}

impl Shape for ReportBody {
    const SHAPE: &'static str =
        "{\"token\" or \"fingerprint\": text, \"kind\"?: text, \"wait\"?: \"10s\"}";
    const REQUIRED: bool = true;
}

/// Exactly one names the token.
fn one_of_two(schema: &mut Schema) {
    let given =
        |name: &str| json!({ "required": [name], "properties": { name: { "type": "string" } } });
    schema.insert("oneOf".to_owned(), json!([given("token"), given("fingerprint")]));
}

impl ReportBody {
    /// The rejected token, and how long an answer is waited for.
    pub(super) fn read(&self) -> Result<(Fingerprint, Duration), Problem> {
        Ok((self.rejected()?, self.wait()?))
    }

    /// The rejected token, by its fingerprint.
    fn rejected(&self) -> Result<Fingerprint, Problem> {
        match (&self.token, &self.fingerprint) {
            (Some(token), None) if (1..=TOKEN_MAX).contains(&token.len()) => {
                Ok(Fingerprint::of(token))
            }
            (None, Some(hex)) => Fingerprint::from_hex(hex).ok_or_else(|| {
                let what = "fingerprint must be the first 16 hex digits, in lower case, of the token's SHA-256";
                Problem::invalid_request(what)
            }),
            (Some(_), None) => Err(Problem::invalid_request("token is empty or too long")),
            (None, None) | (Some(_), Some(_)) => {
                Err(Problem::invalid_request("either token or fingerprint is needed"))
            }
        }
    }

    fn wait(&self) -> Result<Duration, Problem> {
        let Some(text) = &self.wait else { return Ok(WAIT) };
        let wait = humantime::parse_duration(text).ok().filter(|wait| *wait <= WAIT_MAX);
        let what =
            format!("wait must be a duration such as \"10s\", at most {}s", WAIT_MAX.as_secs());
        wait.ok_or_else(|| Problem::invalid_request(what))
    }
}

pub(super) const REPORT: About = About {
    name: "reportToken",
    summary: "A token was rejected by the upstream",
    details: "However many readers say so at once, it costs one fetch at most. The outcome is `refreshed`, \
              `already_newer` (the report named an older token), `still_valid` (the upstream accepts it) or `deferred` \
              (another comes later; `retry_after` says in how many seconds to ask again).",
    answer: "The token to use now, and what came of it.",
    problems: &[
        (Code::UnknownCredential, "neither this worker's configuration nor Redis has it"),
        (Code::RefusedByUpstream, "the token is rejected, and the upstream refuses another"),
        (Code::NoValidToken, "there is none now"),
        (
            Code::StoreUnavailable,
            "Redis cannot be asked, or the worker is stopping or overloaded; no upstream was called",
        ),
    ],
};

/// `POST /v1/credentials/{id}/report` `{"token"|"fingerprint", "kind"?, "wait"?: "10s"}` (scope token): [`REPORT`].
pub(super) async fn report(
    State(api): State<Api>,
    Id(id): Id,
    Query(Nothing {}): Query<Nothing>,
    Body(body): Body<ReportBody>,
) -> Result<Json<RefreshedToken>, Problem> {
    let unit = Unit { id, kind: kind(body.kind.as_deref())? };
    let (rejected, wait) = body.read()?;
    let answer = match api.handle.report(unit.clone(), rejected, wait).await? {
        // For a reader that is all it means.
        RefreshAnswer::Paused => RefreshAnswer::Deferred { retry_after: PAUSED_FOR },
        answer => answer,
    };
    api.outcome(&unit, answer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> ReportBody {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_report_names_the_token_or_its_fingerprint_and_not_both() {
        let rejected = |json: &str| body(json).rejected().ok();
        let expected = Some(Fingerprint::of("abc"));
        assert_eq!(rejected(r#"{"token":"abc"}"#), expected);
        assert_eq!(rejected(r#"{"fingerprint":"ba7816bf8f01cfea"}"#), expected);
        for wrong in [
            "{}",
            r#"{"token":""}"#,
            r#"{"fingerprint":"BA7816BF8F01CFEA"}"#,
            r#"{"token":"abc","fingerprint":"ba7816bf8f01cfea"}"#,
        ] {
            assert_eq!(rejected(wrong), None, "{wrong}");
        }
        let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(TOKEN_MAX + 1));
        assert_eq!(rejected(&long), None);
    }

    #[test]
    fn a_wait_is_at_most_thirty_seconds() {
        let wait = |json: &str| body(json).wait().ok();
        assert_eq!(wait("{}"), Some(WAIT));
        assert_eq!(wait(r#"{"wait":"30s"}"#), Some(WAIT_MAX));
        assert_eq!(wait(r#"{"wait":"0s"}"#), Some(Duration::ZERO));
        for wrong in [r#"{"wait":"31s"}"#, r#"{"wait":"10"}"#, r#"{"wait":"soon"}"#] {
            assert_eq!(wait(wrong), None, "{wrong}");
        }
    }
}
