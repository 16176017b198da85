//! What the fuzzer may call (feature `fuzzing`): all that is decided about a request before anybody is asked.

use axum::body::Body as AxumBody;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::HeaderValue;

use super::guard::{Access, Guard, Refusal};
use super::jssdk::PageBody;
use super::pause::PauseBody;
use super::problem::Problem;
use super::refresh::RefreshBody;
use super::report::ReportBody;
use super::request::{Body, KindQuery, Nothing, PageQuery, Query, kind, well_formed};
use super::wechat::StableAsked;
use crate::config::{HttpConfig, HttpToken, Scope};

/// A request.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Its target.
    pub target: &'a str,
    /// Its headers.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Its body.
    pub body: &'a [u8],
}

impl Call<'_> {
    fn request(&self) -> Option<Request> {
        let mut request = Request::post(self.target);
        for (name, value) in &self.headers {
            request = request.header(*name, HeaderValue::from_str(value).ok()?);
        }
        request.body(AxumBody::from(self.body.to_vec())).ok()
    }
}

/// The problems that `call` meets where a bearer token is needed, or none is configured.
pub async fn read(call: &Call<'_>, bearer: Option<&str>) -> Vec<String> {
    let token = |secret: &str| HttpToken {
        name: "shop".to_owned(),
        scope: Scope::Token,
        secret: secret.into(),
    };
    let listen = ([127, 0, 0, 1], 8620).into();
    let tokens = bearer.map(token).into_iter().collect();
    let guard = Guard::new(&HttpConfig { listen, tls: None, tokens });
    let mut problems = Vec::new();
    let mut note = |problem: Option<Problem>| {
        problems.extend(problem.and_then(|problem| serde_json::to_string(&problem).ok()));
    };
    let Some(request) = call.request() else { return problems };
    note(well_formed(&request).err());
    for access in [Access::Anybody, Access::NoWebPage, Access::Scoped(Scope::Token)] {
        for barred in [false, true] {
            note(guard.admits(&request, access, || barred).err().map(|refusal| match refusal {
                Refusal::WrongBearer => Problem::unauthorized(),
                Refusal::Other(problem) => problem,
            }));
        }
    }
    let (mut parts, _) = request.into_parts();
    note(Query::<Nothing>::from_request_parts(&mut parts, &()).await.err());
    note(Query::<PageQuery>::from_request_parts(&mut parts, &()).await.err());
    match Query::<KindQuery>::from_request_parts(&mut parts, &()).await {
        Ok(Query(query)) => note(kind(query.kind.as_deref()).err()),
        Err(problem) => note(Some(problem)),
    }
    StableAsked::in_body(call.body).ok();
    if let Some(request) = call.request() {
        match Body::<ReportBody>::from_request(request, &()).await {
            Ok(Body(body)) => note(body.read().err()),
            Err(problem) => note(Some(problem)),
        }
    }
    if let Some(request) = call.request() {
        note(Body::<PauseBody>::from_request(request, &()).await.err());
    }
    if let Some(request) = call.request() {
        note(Body::<RefreshBody>::from_request(request, &()).await.err());
    }
    if let Some(request) = call.request() {
        match Body::<PageBody>::from_request(request, &()).await {
            Ok(Body(body)) => note(body.read().err()),
            Err(problem) => note(Some(problem)),
        }
    }
    problems
}
