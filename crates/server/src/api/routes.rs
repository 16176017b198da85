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

use super::describe::{self, About, Operation};
use super::guard::Access::{Anybody, NoWebPage, Scoped};
use super::guard::{self, Access};
use super::problem::Problem;
use super::request::{BODY_MAX, well_formed};
use super::{
    Api, credentials, dashboard, events, health, history, jssdk, openapi, pause, refresh, report,
    token, wechat, worker,
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
    pub(super) call: Call,
    pub(super) about: About,
}

/// A function that serves a call, and its description by its types.
pub(super) struct Call {
    serve: fn(MethodFilter) -> MethodRouter<Api>,
    pub(super) describe: fn(&mut Operation<'_>),
}

const fn route(
    method: MethodFilter,
    path: &'static str,
    access: Access,
    call: Call,
    about: About,
) -> Route {
    Route { method, path, access, call, about }
}

macro_rules! call {
    ($function:path) => {
        Call {
            serve: |method| on(method, $function),
            describe: |operation| describe::by_types($function, operation),
        }
    };
}

const GET: MethodFilter = MethodFilter::GET;
pub(super) const POST: MethodFilter = MethodFilter::POST;

const ALL: &str = "/v1/credentials";
const ONE: &str = "/v1/credentials/{id}";
const HISTORY: &str = "/v1/credentials/{id}/history";
const TOKEN: &str = "/v1/credentials/{id}/token";
const REPORT: &str = "/v1/credentials/{id}/report";
const REFRESH: &str = "/v1/credentials/{id}/refresh";
const PAUSE: &str = "/v1/credentials/{id}/pause";
const RESUME: &str = "/v1/credentials/{id}/resume";
const SIGNATURE: &str = "/v1/credentials/{id}/jssdk-signature";
const TICKET: &str = "/cgi-bin/ticket/getticket";
const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
const FILE: &str = "/dashboard/{version}/{file}";

/// Every call.
pub(super) const ROUTES: [Route; 21] = [
    route(GET, "/", NoWebPage, call!(dashboard::page), dashboard::PAGE),
    route(GET, FILE, NoWebPage, call!(dashboard::file), dashboard::FILE),
    route(GET, ALL, Scoped(Read), call!(credentials::all), credentials::ALL),
    route(GET, ONE, Scoped(Read), call!(credentials::one), credentials::ONE),
    route(GET, HISTORY, Scoped(Read), call!(history::one), history::ONE),
    route(GET, TOKEN, Scoped(Token), call!(token::token), token::TOKEN),
    route(POST, REPORT, Scoped(Token), call!(report::report), report::REPORT),
    route(POST, REFRESH, Scoped(Admin), call!(refresh::refresh), refresh::REFRESH),
    route(POST, PAUSE, Scoped(Admin), call!(pause::pause), pause::PAUSE),
    route(POST, RESUME, Scoped(Admin), call!(pause::resume), pause::RESUME),
    route(GET, "/v1/history", Scoped(Read), call!(history::latest), history::LATEST),
    route(POST, SIGNATURE, Scoped(Token), call!(jssdk::signature), jssdk::SIGNATURE),
    route(GET, "/v1/worker", Scoped(Read), call!(worker::worker), worker::WORKER),
    route(GET, "/v1/events", Scoped(Read), call!(events::events), events::EVENTS),
    route(GET, "/cgi-bin/token", NoWebPage, call!(wechat::token), wechat::TOKEN),
    route(POST, STABLE_TOKEN, NoWebPage, call!(wechat::stable_token), wechat::STABLE_TOKEN),
    route(GET, TICKET, NoWebPage, call!(wechat::ticket), wechat::TICKET),
    route(GET, "/healthz", Anybody, call!(health::live), health::LIVE),
    route(GET, "/readyz", Anybody, call!(health::ready), health::READY),
    route(GET, "/metrics", NoWebPage, call!(health::metrics), health::METRICS),
    route(GET, "/openapi.json", NoWebPage, call!(openapi::description), openapi::DESCRIPTION),
];

/// All calls, each behind its guard.
pub(super) fn router(api: Api) -> Router {
    let mut router = Router::new();
    for Route { method, path, access, call, about: _ } in ROUTES {
        let guard = from_fn_with_state((api.clone(), access), guard::check);
        router = router.route(path, (call.serve)(method).layer(guard));
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
