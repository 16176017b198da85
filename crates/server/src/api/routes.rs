//! Which calls there are and what each needs, as a table; and what holds for all of them.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use tower_http::catch_panic::CatchPanicLayer;

use super::guard::Access::{Anybody, NoWebPage, Scoped};
use super::guard::{self, Access};
use super::problem::Problem;
use super::request::{BODY_MAX, well_formed};
use super::{
    Api, credentials, dashboard, events, health, history, jssdk, pause, refresh, report, token,
    worker,
};
use crate::config::Scope::{Admin, Read, Token};

/// The longest that a call may take: a body (10 s), the probe of a reported token (30 s at the very most), the longest
/// wait for a refresh (30 s), and what is around them. A stream of events has begun long before.
const CALL_TIMEOUT: Duration = Duration::from_secs(75);

/// What browsers are told of every answer: it is what it says it is, nothing frames it, no page of another origin takes it
/// for one of its parts, and where it leads nobody hears where from.
///
/// Not that this host speaks TLS only (`Strict-Transport-Security`): that would hold for all of its ports, and for
/// whatever else an operator has there.
const HEADERS: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (REFERRER_POLICY, "no-referrer"),
];
/// And of every answer that is no page: should a browser show it as one, it loads and runs nothing.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

/// A call.
pub(super) struct Route {
    pub(super) method: MethodFilter,
    pub(super) path: &'static str,
    pub(super) access: Access,
    serve: fn(MethodFilter) -> MethodRouter<Api>,
}

const fn route(
    method: MethodFilter,
    path: &'static str,
    access: Access,
    serve: fn(MethodFilter) -> MethodRouter<Api>,
) -> Route {
    Route { method, path, access, serve }
}

const GET: MethodFilter = MethodFilter::GET;
pub(super) const POST: MethodFilter = MethodFilter::POST;

/// Every call.
pub(super) const ROUTES: [Route; 17] = [
    route(GET, "/", NoWebPage, |m| on(m, dashboard::page)),
    route(GET, "/dashboard/{version}/{file}", NoWebPage, |m| on(m, dashboard::file)),
    route(GET, "/v1/credentials", Scoped(Read), |m| on(m, credentials::all)),
    route(GET, "/v1/credentials/{id}", Scoped(Read), |m| on(m, credentials::one)),
    route(GET, "/v1/credentials/{id}/history", Scoped(Read), |m| on(m, history::one)),
    route(GET, "/v1/credentials/{id}/token", Scoped(Token), |m| on(m, token::token)),
    route(POST, "/v1/credentials/{id}/report", Scoped(Token), |m| on(m, report::report)),
    route(POST, "/v1/credentials/{id}/refresh", Scoped(Admin), |m| on(m, refresh::refresh)),
    route(POST, "/v1/credentials/{id}/pause", Scoped(Admin), |m| on(m, pause::pause)),
    route(POST, "/v1/credentials/{id}/resume", Scoped(Admin), |m| on(m, pause::resume)),
    route(GET, "/v1/history", Scoped(Read), |m| on(m, history::latest)),
    route(POST, "/v1/credentials/{id}/jssdk-signature", Scoped(Token), |m| on(m, jssdk::signature)),
    route(GET, "/v1/worker", Scoped(Read), |m| on(m, worker::worker)),
    route(GET, "/v1/events", Scoped(Read), |m| on(m, events::events)),
    route(GET, "/healthz", Anybody, |m| on(m, health::live)),
    route(GET, "/readyz", Anybody, |m| on(m, health::ready)),
    route(GET, "/metrics", NoWebPage, |m| on(m, health::metrics)),
];

/// All calls, each behind its guard.
pub(super) fn router(api: Api) -> Router {
    let mut router = Router::new();
    for Route { method, path, access, serve } in ROUTES {
        let guard = from_fn_with_state((api.clone(), access), guard::check);
        router = router.route(path, serve(method).layer(guard));
    }
    // Unguarded: that an address or a method is unknown says nothing that this file does not say.
    let router = router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed());
    around(router.with_state(api), CALL_TIMEOUT)
}

/// One problem is all that anybody is answered.
pub(super) fn alone(problem: fn() -> Problem) -> Router {
    around(Router::new().fallback(async move || problem()), CALL_TIMEOUT)
}

/// What holds for every call, known or not; the last layer is the outermost.
pub(super) fn around(router: Router, timeout: Duration) -> Router {
    router
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(refuse_malformed))
        .layer(CatchPanicLayer::custom(tell_of_panic))
        .layer(from_fn_with_state(timeout, end_in_time))
        .layer(map_response(keep_private))
}

async fn refuse_malformed(request: Request, next: Next) -> Response {
    match well_formed(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The runtime's hook has told where; what was said there stays out of the answer.
fn tell_of_panic(_said: Box<dyn Any + Send>) -> Response {
    tracing::error!(
        "a call met a defect of this program and was answered with 500; please report it"
    );
    Problem::internal().into_response()
}

async fn end_in_time(State(timeout): State<Duration>, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(timeout, next.run(request)).await;
    answer.unwrap_or_else(|_| Problem::timeout().into_response())
}

/// No cache keeps an answer but the dashboard's files; for browsers see [`HEADERS`].
async fn keep_private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    // A stream of events says something else by itself, and that is less.
    if headers.get(CACHE_CONTROL).is_none_or(|told| told != dashboard::FOR_GOOD) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NO_PAGE));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
