//! Errors as `application/problem+json` (RFC 9457), each with a stable `code`. No token and no secret in any.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use zhongkong_coordinator::CommandError;
use zhongkong_core::clock::millis;
use zhongkong_core::credential::{CredentialId, Unit};

use crate::report::RefusalReport;

/// Names a kind of error, for programs; it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    InvalidRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    UnknownCredential,
    MethodNotAllowed,
    SlowRequest,
    TooManyAttempts,
    Internal,
    RefusedByUpstream,
    NoValidToken,
    Overloaded,
    StoreUnavailable,
    Timeout,
}

/// An answer that is an error.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    code: Code,
    /// The same for people.
    title: &'static str,
    /// The answer's status.
    status: u16,
    /// What happened, and what to do.
    detail: String,
    /// What the upstream said, and our advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<Box<RefusalReport>>,
    /// Seconds after which to ask again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Code {
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request", "Invalid request"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::UnknownCredential => {
                (StatusCode::NOT_FOUND, "unknown_credential", "Unknown credential")
            }
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
            }
            Self::SlowRequest => (StatusCode::REQUEST_TIMEOUT, "slow_request", "Slow request"),
            Self::TooManyAttempts => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "Too many attempts")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::RefusedByUpstream => {
                (StatusCode::BAD_GATEWAY, "refused_by_upstream", "Refused by the upstream")
            }
            Self::NoValidToken => {
                (StatusCode::SERVICE_UNAVAILABLE, "no_valid_token", "No valid token")
            }
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded"),
            Self::StoreUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "Redis is unavailable")
            }
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout", "Time-out"),
        }
    }

    /// The status of its answers.
    pub(super) const fn status(self) -> StatusCode {
        self.row().0
    }

    /// As it stands in answers.
    pub(super) const fn as_str(self) -> &'static str {
        self.row().1
    }

    const fn title(self) -> &'static str {
        self.row().2
    }

    /// Whether its answers say when to come back.
    pub(super) const fn waits(self) -> bool {
        matches!(
            self,
            Self::TooManyAttempts | Self::RefusedByUpstream | Self::NoValidToken | Self::Overloaded
        )
    }
}

impl Problem {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        let (title, status, detail) = (code.title(), code.status().as_u16(), detail.into());
        Self { code, title, status, detail, upstream: None, retry_after: None }
    }

    pub(super) fn unknown_credential(id: &CredentialId) -> Self {
        let detail = format!("no credential {id} is configured on this worker");
        Self::new(Code::UnknownCredential, detail)
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
        Self::new(Code::UnknownCredential, detail)
    }

    pub(super) fn not_found() -> Self {
        Self::new(Code::NotFound, "there is nothing at this address")
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "this address does not know the method; Allow lists those that it knows";
        Self::new(Code::MethodNotAllowed, detail)
    }

    pub(super) fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    pub(super) fn slow_request(limit: Duration) -> Self {
        let detail = format!("the body did not come within {} seconds", limit.as_secs());
        Self::new(Code::SlowRequest, detail)
    }

    pub(super) fn timeout() -> Self {
        Self::new(Code::Timeout, "the worker took too long")
    }

    pub(super) fn overloaded(detail: &str) -> Self {
        Self { retry_after: Some(10), ..Self::new(Code::Overloaded, detail) }
    }

    pub(super) fn internal() -> Self {
        Self::new(Code::Internal, "the worker met a defect of its own; its log has more")
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(Code::Unauthorized, "a valid bearer token is needed")
    }

    pub(super) fn too_many_attempts(wait: Duration) -> Self {
        let detail = "too many calls from this address had a wrong bearer token: for a while, \
                      only right ones of 16 characters and more are accepted from there";
        let retry_after = Some(seconds_to_wait(wait));
        Self { retry_after, ..Self::new(Code::TooManyAttempts, detail) }
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    pub(super) fn store_unavailable(detail: impl Into<String>) -> Self {
        Self::new(Code::StoreUnavailable, detail)
    }

    pub(super) fn no_valid_token(unit: &Unit, retry_after: Duration) -> Self {
        let Unit { id, kind } = unit;
        let detail = match kind.ticket() {
            None => format!("{id} has no valid token now"),
            Some(_) => format!("{id} has no valid {kind} now"),
        };
        let retry_after = Some(seconds_to_wait(retry_after));
        Self { retry_after, ..Self::new(Code::NoValidToken, detail) }
    }

    pub(super) fn refused_by_upstream(refusal: RefusalReport) -> Self {
        let retry_after = Some(refusal.retry_in.max(1));
        let mut problem = Self::new(Code::RefusedByUpstream, refusal.meaning);
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
        let status = self.code.status();
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
