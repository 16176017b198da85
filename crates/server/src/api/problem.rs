//! Errors as `application/problem+json` (RFC 9457), each with a stable `code`. No token and no secret in any.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use zhongkong_coordinator::CommandError;
use zhongkong_core::clock::millis;
use zhongkong_core::credential::{CredentialId, Unit};

use crate::report::RefusalReport;

/// An answer that is an error.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Problem {
    /// Names the kind of error, for programs.
    code: &'static str,
    /// The same for people.
    title: &'static str,
    status: u16,
    detail: String,
    /// What the upstream said, and our advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<Box<RefusalReport>>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Problem {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let (status, detail) = (status.as_u16(), detail.into());
        Self { code, title, status, detail, upstream: None, retry_after: None }
    }

    pub(super) fn unknown_credential(id: &CredentialId) -> Self {
        let detail = format!("no credential {id} is configured on this worker");
        Self::new(StatusCode::NOT_FOUND, "unknown_credential", "Unknown credential", detail)
    }

    /// The credential is not configured here, or not with this kind.
    pub(super) fn unknown_unit(unit: &Unit) -> Self {
        let Unit { id, kind } = unit;
        let Some(ticket) = kind.ticket() else { return Self::unknown_credential(id) };
        let detail = format!(
            "no {kind} of {id} is kept by this worker: `tickets` of a credential in its configuration names those that are, \
             this one as \"{ticket}\""
        );
        Self { detail, ..Self::unknown_credential(id) }
    }

    /// What stands in the place of the id can be none, and is not repeated: it may be a token.
    pub(super) fn impossible_credential() -> Self {
        let detail = "an id is 1 to 128 characters of A-Z a-z 0-9 . _ -";
        Self::new(StatusCode::NOT_FOUND, "unknown_credential", "Unknown credential", detail)
    }

    pub(super) fn not_found() -> Self {
        let detail = "there is nothing at this address";
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "this address does not know the method; Allow lists those that it knows";
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self::new(status, "method_not_allowed", "Method not allowed", detail)
    }

    pub(super) fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "Invalid request", detail)
    }

    pub(super) fn slow_request(limit: Duration) -> Self {
        let detail = format!("the body did not come within {} seconds", limit.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow_request", "Slow request", detail)
    }

    pub(super) fn timeout() -> Self {
        let detail = "the worker took too long";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "Time-out", detail)
    }

    pub(super) fn overloaded(detail: &str) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let retry_after = Some(10);
        Self { retry_after, ..Self::new(status, "overloaded", "Overloaded", detail) }
    }

    pub(super) fn internal() -> Self {
        let detail = "the worker met a defect of its own; its log has more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    pub(super) fn unauthorized() -> Self {
        let detail = "a valid bearer token is needed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail)
    }

    pub(super) fn too_many_attempts(wait: Duration) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let detail = "too many calls from this address had a wrong bearer token: for a while, \
                      only right ones of 16 characters and more are accepted from there";
        let retry_after = Some(seconds_to_wait(wait));
        Self { retry_after, ..Self::new(status, "too_many_attempts", "Too many attempts", detail) }
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
    }

    pub(super) fn store_unavailable(detail: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "store_unavailable", "Redis is unavailable", detail)
    }

    pub(super) fn no_valid_token(unit: &Unit, retry_after: Duration) -> Self {
        let Unit { id, kind } = unit;
        let detail = match kind.ticket() {
            None => format!("{id} has no valid token now"),
            Some(_) => format!("{id} has no valid {kind} now"),
        };
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let retry_after = Some(seconds_to_wait(retry_after));
        Self { retry_after, ..Self::new(status, "no_valid_token", "No valid token", detail) }
    }

    pub(super) fn refused_by_upstream(refusal: RefusalReport) -> Self {
        let status = StatusCode::BAD_GATEWAY;
        let (code, title) = ("refused_by_upstream", "Refused by the upstream");
        let retry_after = Some(refusal.retry_in.max(1));
        let mut problem = Self::new(status, code, title, refusal.meaning);
        problem.upstream = Some(Box::new(refusal));
        Self { retry_after, ..problem }
    }
}

/// Whole seconds after which to ask again, rounded up: who comes early comes in vain.
pub(super) fn seconds_to_wait(wait: Duration) -> u64 {
    millis(wait).div_ceil(1_000).max(1)
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match &error {
            CommandError::Unknown(unit) => Self::unknown_unit(unit),
            CommandError::Store(_) | CommandError::Busy => {
                Self::store_unavailable(error.to_string())
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after.map(HeaderValue::from);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(retry_after) = retry_after {
            headers.insert(RETRY_AFTER, retry_after);
        }
        response
    }
}
