//! What a request says, read strictly: nothing is given twice, nothing unknown is passed over.

use std::convert::Infallible;
use std::num::NonZeroU16;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http::header::{
    ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_NONE_MATCH, ORIGIN,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zhongkong_core::credential::{CredentialId, Kind};

use super::describe::{Operation, Takes};
use super::guard::{SEC_FETCH_SITE, authority};
use super::problem::{Code, Problem};
use crate::language::Language;
use crate::schemas;

/// The largest body that is read.
pub(super) const BODY_MAX: usize = 64 * 1024;
/// The longest that a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The `{id}` of an address; 404 `unknown_credential` if it can be none, 400 if it is not UTF-8.
#[derive(Debug)]
pub(super) struct Id(pub(super) CredentialId);

/// What stands in an address; 404 `not_found` if it can be nothing.
#[derive(Debug)]
pub(super) struct Place<T>(pub(super) T);

/// The version that the caller has, if it says so.
#[derive(Debug)]
pub(super) struct Known(pub(super) Option<HeaderValue>);

/// The parameters of an address; 400 if one is unknown, repeated or of the wrong kind.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

/// A JSON object; 400 if it is malformed, too large, of another type or holds what is unknown or repeated,
/// 408 `slow_request` if it takes too long. No body at all is an empty object.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

/// What may be said, for people.
pub(super) trait Shape {
    const SHAPE: &'static str;
    /// Whether nothing at all is less than what has to be said.
    const REQUIRED: bool = false;
}

/// No parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `?after=&limit=`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// Begins after this id.
    #[schemars(with = "Option<schemas::CredentialId>")]
    pub(super) after: Option<CredentialId>,
    /// At most so many.
    pub(super) limit: Option<NonZeroU16>,
}

/// `?kind=`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KindQuery {
    /// `access_token` if it is not given.
    #[schemars(with = "Option<schemas::Kind>")]
    pub(super) kind: Option<String>,
}

impl Shape for Nothing {
    const SHAPE: &'static str = "this address takes no parameters";
}

impl Shape for PageQuery {
    const SHAPE: &'static str =
        "this address takes two parameters at most: after, an id, and limit, 1 to 65535; each once";
}

impl Shape for KindQuery {
    const SHAPE: &'static str = "this address takes one parameter at most: kind, once";
}

/// Whether the headers that decide something are there once, and mean something.
pub(super) fn well_formed(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    for name in [HOST, AUTHORIZATION, CONTENT_TYPE, ORIGIN, SEC_FETCH_SITE] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(Problem::invalid_request(format!("the header {name} is repeated")));
        }
    }
    match headers.get(HOST) {
        Some(host) if authority(host.as_bytes()).is_none() => {
            Err(Problem::invalid_request("Host must be a name or an address, and perhaps a port"))
        }
        None if request.version() > Version::HTTP_10 => {
            Err(Problem::invalid_request("the header Host is missing"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The kind that is asked for; without any the access token.
pub(super) fn kind(asked: Option<&str>) -> Result<Kind, Problem> {
    let kind = asked.map_or(Ok(Kind::AccessToken), str::parse);
    kind.map_err(|error| Problem::invalid_request(error.to_string()))
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        let Path(id) = id.map_err(|_| Problem::invalid_request("the id must be UTF-8"))?;
        id.parse().map(Self).map_err(|_| Problem::impossible_credential())
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Place<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let place = Path::<T>::from_request_parts(parts, state).await;
        place.map(|Path(place)| Self(place)).map_err(|_| Problem::not_found())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.get(IF_NONE_MATCH).cloned()))
    }
}

/// The language that the caller prefers; English where it does not say.
impl<S: Send + Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let preferred = parts.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Ok(Self::preferred(preferred.unwrap_or_default()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Shape> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|_| Problem::invalid_request(T::SHAPE))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default + Shape> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json(&headers) {
            let what = "the body needs Content-Type: application/json";
            return Err(Problem::invalid_request(what));
        }
        parse(&bytes).map(Self)
    }
}

impl Takes for Id {
    fn describe(operation: &mut Operation<'_>) {
        operation.parameter::<schemas::CredentialId>("path", "id", "The account.");
        operation.problem(Code::InvalidRequest, "the id is not UTF-8");
        let when = "no such credential is known here, or it can be no id";
        operation.problem(Code::UnknownCredential, when);
    }
}

impl<T: JsonSchema> Takes for Place<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.parameters::<T>("path");
        operation.problem(Code::NotFound, "there is nothing at this address");
    }
}

impl Takes for Known {
    fn describe(operation: &mut Operation<'_>) {
        let said = "An `ETag`: the answer is 304 if it is still the same.";
        operation.parameter::<String>("header", "If-None-Match", said);
    }
}

impl Takes for Language {
    fn describe(operation: &mut Operation<'_>) {
        let said = "Meanings and advice are in Chinese if that is preferred, else in English.";
        operation.parameter::<String>("header", "Accept-Language", said);
    }
}

impl<T: JsonSchema + Shape> Takes for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.parameters::<T>("query");
        let when = format!("a parameter is unknown, repeated or malformed ({})", T::SHAPE);
        operation.problem(Code::InvalidRequest, &when);
    }
}

impl<T: JsonSchema + Shape> Takes for Body<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.body::<T>(T::REQUIRED);
        let when = "the body is no JSON of this shape, is larger than 64 KiB, broke off, or has another \
                    `Content-Type`";
        operation.problem(Code::InvalidRequest, when);
        operation.problem(Code::SlowRequest, "the body did not come within 10 seconds");
    }
}

/// The whole body; 400 if it is too large or breaks off, 408 if it takes too long.
pub(super) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::invalid_request(format!("the body is larger than {} KiB", BODY_MAX / 1024));
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced
        .and_then(|length| length.parse().ok())
        .is_some_and(|length: usize| length > BODY_MAX)
    {
        return Err(too_large());
    }
    let bytes = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
    bytes.map_err(|_| Problem::slow_request(BODY_TIMEOUT))?.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => too_large(),
        _ => Problem::invalid_request("the body broke off"),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

/// Errors say where, and not what: a body may hold what should not be repeated.
fn parse<T: DeserializeOwned + Shape>(body: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Problem::invalid_request("the body must be UTF-8"))?;
    // serde would take an array of the fields' values for the object.
    if !text.trim_start().starts_with('{') {
        return Err(Problem::invalid_request(format!("expected a JSON object, {}", T::SHAPE)));
    }
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() {
            format!("line {line}, column {column}: expected {}, each at most once", T::SHAPE)
        } else {
            format!("line {line}, column {column}: this is not JSON")
        };
        Problem::invalid_request(what)
    })
}
