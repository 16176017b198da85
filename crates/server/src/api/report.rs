//! `POST /v1/credentials/{id}/report`: a reader's token was rejected ("passive refresh", 被动刷新).

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use zhongkong_coordinator::{PAUSED_FOR, RefreshAnswer};
use zhongkong_core::credential::Unit;
use zhongkong_core::token::{Fingerprint, TOKEN_MAX};

use super::Api;
use super::problem::Problem;
use super::request::{Body, Id, Nothing, Query, Shape, kind};

/// How long an answer is waited for unless the reader says so.
const WAIT: Duration = Duration::from_secs(10);
/// The longest that a reader may have to wait.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Has no `Debug`, because it holds a token.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportBody {
    token: Option<String>,
    fingerprint: Option<String>,
    kind: Option<String>,
    wait: Option<String>,
}

impl Shape for ReportBody {
    const SHAPE: &'static str =
        "{\"token\" or \"fingerprint\": text, \"kind\"?: text, \"wait\"?: \"10s\"}";
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

/// `POST /v1/credentials/{id}/report` `{"token"|"fingerprint", "kind"?, "wait"?: "10s"}` (scope token): the upstream
/// rejected this token. However many readers say so at once, it costs one fetch at most.
///
/// - 200: the token to use now, `refreshed`, and `outcome`: `refreshed`; `already_newer` (the report named an older
///   token); `still_valid` (the upstream accepts it); `deferred` (another comes later; `retry_after` says in how many
///   seconds to ask again).
/// - 400 `invalid_request`: the body is no such JSON, is larger than 64 KiB or has another `Content-Type`; the address
///   has parameters, or its id is not UTF-8.
/// - 404 `unknown_credential`: neither this worker's configuration nor Redis has it.
/// - 408 `slow_request`: the body did not come in time.
/// - 502 `refused_by_upstream`: the token is rejected, and the upstream refuses another; with its code, our advice and
///   `Retry-After`.
/// - 503 `no_valid_token`: there is none now; with `Retry-After`.
/// - 503 `store_unavailable`: Redis cannot be asked, or the worker is stopping or overloaded. No upstream was called.
pub(super) async fn report(
    State(api): State<Api>,
    Id(id): Id,
    Query(Nothing {}): Query<Nothing>,
    Body(body): Body<ReportBody>,
) -> Result<Response, Problem> {
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
