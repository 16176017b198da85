//! What holds for every call: web pages, methods, headers, and what bad requests are answered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, post};
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HOST, IF_NONE_MATCH, ORIGIN,
};
use http::{HeaderValue, StatusCode, Version};
use serde_json::Value;
use tokio::time::Instant;

use super::guard::Access::Anybody;
use super::guard::SEC_FETCH_SITE;
use super::refresh::RefreshBody;
use super::request::{self, BODY_MAX};
use super::routes::{POST, ROUTES, Route, around};
use super::testing::{Answer, Flood, ID, Worker, ask, bare, request};

pub(super) fn method(route: &Route) -> &'static str {
    if route.method == POST { "POST" } else { "GET" }
}

pub(super) fn path(route: &Route) -> String {
    route.path.replace("{id}", ID)
}

fn is_refused(status: StatusCode) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status)
}

#[tokio::test]
async fn without_tokens_web_pages_reach_nothing_but_what_anybody_may_know() {
    let worker = Worker::without_redis("");
    for route in &ROUTES {
        let call = || request(method(route), &path(route));
        let page = bare(call().header(ORIGIN, "https://evil.example"));
        let mut rebound = bare(call());
        rebound.headers_mut().insert(HOST, HeaderValue::from_static("evil.example"));
        for foreign in [page, rebound] {
            let answer = worker.ask(foreign).await;
            if route.access == Anybody {
                assert!(!is_refused(answer.status), "{}: {answer:?}", route.path);
            } else {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", route.path);
                assert_eq!(answer.code(), "forbidden");
            }
        }
    }
}

#[tokio::test]
async fn an_address_tells_which_methods_it_knows() {
    let worker = Worker::without_redis("");
    for route in &ROUTES {
        let mut known: BTreeSet<&str> =
            ROUTES.iter().filter(|other| other.path == route.path).map(method).collect();
        if known.contains("GET") {
            known.insert("HEAD");
        }
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"]
        {
            let answer = worker.ask(bare(request(method, &path(route)))).await;
            if known.contains(method) {
                assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
                continue;
            }
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
            let allowed = answer.headers[ALLOW].to_str().unwrap().split(',').collect();
            assert_eq!(known, allowed, "{}", route.path);
            if method != "HEAD" {
                assert_eq!(answer.code(), "method_not_allowed");
            }
        }
    }
}

#[tokio::test]
async fn a_head_request_is_answered_without_a_body() {
    let worker = Worker::without_redis("");
    for (path, status) in [
        ("/healthz", StatusCode::OK),
        ("/v1/credentials", StatusCode::OK),
        ("/v1/credentials/nobody", StatusCode::NOT_FOUND),
        ("/nowhere", StatusCode::NOT_FOUND),
    ] {
        let whole = worker.ask(bare(request("GET", path))).await;
        let head = worker.ask(bare(request("HEAD", path))).await;
        assert_eq!((head.status, head.body.len()), (status, 0), "{path}");
        assert_eq!(head.headers[CONTENT_LENGTH], whole.body.len().to_string(), "{path}");
    }
}

/// What browsers are told of every answer.
#[track_caller]
fn is_kept_to_itself(answer: &Answer) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(answer.headers[name], value, "{name}: {answer:?}");
    }
    let policy = answer.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn no_cache_keeps_an_answer_and_no_page_of_another_origin_gets_hold_of_it() {
    let worker = Worker::without_redis("");
    let mut calls: Vec<Request> =
        ROUTES.iter().map(|route| bare(request(method(route), &path(route)))).collect();
    for (method, path) in [
        ("GET", "/v1/credentials/nobody"),
        ("GET", "/nowhere"),
        ("DELETE", "/healthz"),
        ("HEAD", "/healthz"),
        ("OPTIONS", "/v1/credentials"),
    ] {
        calls.push(bare(request(method, path)));
    }
    calls.push(bare(request("GET", "/healthz").header(HOST, "twice")));
    calls.push(bare(request("GET", "/v1/credentials").header(ORIGIN, "https://evil.example")));
    for call in calls {
        let asked = format!("{call:?}");
        let answer = worker.ask(call).await;
        assert_eq!(answer.headers[CACHE_CONTROL], "no-store", "{asked}");
        is_kept_to_itself(&answer);
        assert!(answer.headers.get("access-control-allow-origin").is_none(), "{asked}");
    }
    is_kept_to_itself(&ask(&odd_calls(), bare(request("GET", "/broken"))).await);
}

#[tokio::test]
async fn the_page_loads_nothing_but_its_own_files_and_those_may_be_kept_for_good() {
    let worker = Worker::without_redis("");
    let page = worker.ask(bare(request("GET", "/"))).await;
    assert_eq!(page.headers[CACHE_CONTROL], "no-store");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let named: Vec<&str> = html.split('"').filter(|part| part.starts_with('/')).collect();
    assert!(named.len() >= 4 && !html.contains("{version}"), "{html}");
    assert!(!html.contains("://") && !html.contains("<style") && !html.contains("<script>"));
    for path in named {
        let file = worker.ask(bare(request("GET", path))).await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert_eq!(file.headers[CACHE_CONTROL], "public, max-age=31536000, immutable");
        let tag = file.headers[ETAG].clone();
        let again = request("GET", path).header(IF_NONE_MATCH, tag);
        let again = worker.ask(bare(again)).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
        let expected = match path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(file.headers[CONTENT_TYPE], expected, "{path}");
        // A browser that is told that it has the file takes the headers of that answer.
        for answer in [&page, &file, &again] {
            is_kept_to_itself(answer);
            let policy = answer.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("script-src 'self'"), "{policy}");
        }
    }
}

#[tokio::test]
async fn a_list_begins_where_it_is_asked_to_and_is_as_long() {
    let more = ["a", "b", "c"].map(|id| {
        format!(
            "[[credentials]]\nprovider = \"wechat\"\napp_id = \"wx-{id}\"\n\
             secret = {{ env = \"WX_SECRET\" }}\n"
        )
    });
    let worker = Worker::without_redis(&more.concat());
    for (query, expected) in [
        ("", "wx-a wx-b wx-c wx-test"),
        ("?limit=2", "wx-a wx-b"),
        ("?after=wx-b", "wx-c wx-test"),
        ("?after=wx-a&limit=1", "wx-b"),
        ("?after=wx-bb&limit=65535", "wx-c wx-test"),
        ("?after=wx-test", ""),
    ] {
        let answer = worker.ask(bare(request("GET", &format!("/v1/credentials{query}")))).await;
        let list: Value = serde_json::from_slice(&answer.body).unwrap();
        let ids: Vec<&str> =
            list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(ids.join(" "), expected, "{query}");
    }
}

#[tokio::test]
async fn a_bad_address_gets_its_problem() {
    let worker = Worker::without_redis("");
    let too_long = format!("/v1/credentials/{}", "x".repeat(129));
    for (path, status, code) in [
        ("/dashboard", 404, "not_found"),
        ("/dashboard/0123456789abcdef/main.js", 404, "not_found"),
        ("/v1", 404, "not_found"),
        ("/v1/credentials/", 404, "not_found"),
        ("/v1//credentials", 404, "not_found"),
        ("/v1/credentials/../../metrics", 404, "not_found"),
        ("/v1/credentials/wx-test/tokens", 404, "not_found"),
        ("/v1/credentials/nobody", 404, "unknown_credential"),
        ("/v1/credentials/nobody/token", 404, "unknown_credential"),
        ("/v1/credentials/WX-TEST/token", 404, "unknown_credential"),
        ("/v1/credentials/a%20b", 404, "unknown_credential"),
        ("/v1/credentials/wx-test%2Ftoken", 404, "unknown_credential"),
        ("/v1/credentials/%00", 404, "unknown_credential"),
        ("/v1/credentials/%zz", 404, "unknown_credential"),
        (&too_long, 404, "unknown_credential"),
        ("/v1/credentials/%ff", 400, "invalid_request"),
        ("/v1/credentials/%ff/token", 400, "invalid_request"),
        ("/v1/credentials?kind=access_token", 400, "invalid_request"),
        ("/v1/credentials?limit=0", 400, "invalid_request"),
        ("/v1/credentials?limit=many", 400, "invalid_request"),
        ("/v1/credentials?limit=1&limit=2", 400, "invalid_request"),
        ("/v1/credentials?after=a%20b", 400, "invalid_request"),
        ("/v1/worker?x", 400, "invalid_request"),
        ("/v1/history?limit=51", 400, "invalid_request"),
        ("/v1/history?before=1-1", 400, "invalid_request"),
        ("/v1/credentials/wx-test/history?before=1", 400, "invalid_request"),
        ("/v1/credentials/wx-test/history?limit=201", 400, "invalid_request"),
        ("/v1/credentials/wx-nobody/history", 404, "unknown_credential"),
        ("/v1/credentials/wx-test?x", 400, "invalid_request"),
        ("/v1/credentials/wx-test/token?kind=jsapi", 400, "invalid_request"),
        ("/v1/credentials/wx-test/token?kind=", 400, "invalid_request"),
        ("/v1/credentials/wx-test/token?kind=%ff", 400, "invalid_request"),
        ("/v1/credentials/wx-test/token?Kind=access_token", 400, "invalid_request"),
        ("/v1/credentials/wx-test/token?kind=access_token&x=1", 400, "invalid_request"),
        (
            "/v1/credentials/wx-test/token?kind=access_token&kind=access_token",
            400,
            "invalid_request",
        ),
    ] {
        let answer = worker.ask(bare(request("GET", path))).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{path}");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!said.contains("xxxx"), "{said}");
    }
    let refresh = bare(request("POST", "/v1/credentials/wx-test/refresh?force=true"));
    assert_eq!(worker.ask(refresh).await.code(), "invalid_request");
}

#[tokio::test]
async fn a_bad_body_gets_its_problem_and_is_not_repeated() {
    let worker = Worker::without_redis("");
    let json = "application/json";
    let deep = format!("{{\"kind\":{}", "[".repeat(20_000));
    let large = format!("{{{}}}", " ".repeat(BODY_MAX));
    for (content_type, body) in [
        (None, b"{}".as_slice()),
        (Some("text/plain"), b"{}"),
        (Some("application/x-www-form-urlencoded"), b"force=true"),
        (Some("application/jsonp"), b"{}"),
        (Some(json), b"not json"),
        (Some(json), b"{"),
        (Some(json), b"{} {}"),
        (Some(json), b"   "),
        (Some(json), b"null"),
        (Some(json), b"true"),
        (Some(json), b"[]"),
        (Some(json), b"[null, true]"),
        (Some(json), b"[\"access_token\", true]"),
        (Some(json), b"\xef\xbb\xbf{}"),
        (Some(json), b"{\"kind\": \"\xff\"}"),
        (Some(json), b"\xff\xfe{\0}\0"),
        (Some(json), deep.as_bytes()),
        (Some(json), b"{\"kind\": \"by-mistake\"}"),
        (Some(json), b"{\"by-mistake\": 1}"),
        (Some(json), b"{\"force\": \"by-mistake\"}"),
        (Some(json), b"\"by-mistake\""),
        (Some(json), b"{\"kind\": 1}"),
        (Some(json), b"{\"force\": 1}"),
        (Some(json), b"{\"force\": null}"),
        (Some(json), b"{\"Force\": true}"),
        (Some(json), b"{\"force\": true, \"force\": true}"),
        (Some(json), b"{\"kind\": \"access_token\", \"kind\": \"access_token\"}"),
        (Some(json), b"{\"force\": true, \"more\": 1}"),
        (Some(json), large.as_bytes()),
    ] {
        for path in ["/v1/credentials/wx-test/refresh", "/v1/credentials/wx-test/report"] {
            let mut call = request("POST", path);
            if let Some(content_type) = content_type {
                call = call.header(CONTENT_TYPE, content_type);
            }
            let answer = worker.ask(call.body(Body::from(body.to_vec())).unwrap()).await;
            let sent = String::from_utf8_lossy(&body[..body.len().min(60)]);
            let expected = (StatusCode::BAD_REQUEST, "invalid_request");
            assert_eq!((answer.status, &*answer.code()), expected, "{content_type:?} {sent}");
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!said.contains("mistake"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_report_that_names_no_token_gets_its_problem_and_one_without_redis_503() {
    let worker = Worker::without_redis("");
    for (body, status, code) in [
        ("", 400, "invalid_request"),
        ("{}", 400, "invalid_request"),
        ("{\"token\": \"a\", \"fingerprint\": \"0123456789abcdef\"}", 400, "invalid_request"),
        ("{\"fingerprint\": \"0123\"}", 400, "invalid_request"),
        ("{\"token\": \"a\", \"wait\": \"1h\"}", 400, "invalid_request"),
        ("{\"token\": \"a\", \"kind\": \"by-mistake\"}", 400, "invalid_request"),
        ("{\"token\": \"a\"}", 503, "store_unavailable"),
    ] {
        let call = request("POST", "/v1/credentials/wx-test/report");
        let call = call.header(CONTENT_TYPE, "application/json");
        let answer = worker.ask(call.body(Body::from(body)).unwrap()).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{body}");
    }
}

#[tokio::test]
async fn a_header_that_decides_something_may_not_be_repeated() {
    let worker = Worker::without_redis("");
    for (name, value) in [
        (HOST, "localhost:8620"),
        (ORIGIN, "http://localhost:8620"),
        (AUTHORIZATION, "Bearer a-bearer-token"),
        (CONTENT_TYPE, "application/json"),
        (SEC_FETCH_SITE, "none"),
    ] {
        for path in ["/v1/credentials", "/healthz", "/nowhere"] {
            let mut twice = bare(request("GET", path));
            twice.headers_mut().insert(&name, HeaderValue::from_static(value));
            twice.headers_mut().append(&name, HeaderValue::from_static(value));
            let answer = worker.ask(twice).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name} {path}");
            assert_eq!(answer.code(), "invalid_request");
        }
    }
    let mut nameless = bare(request("GET", "/healthz"));
    nameless.headers_mut().remove(HOST);
    assert_eq!(worker.ask(nameless).await.code(), "invalid_request");
    let mut nonsense = bare(request("GET", "/healthz"));
    nonsense.headers_mut().insert(HOST, HeaderValue::from_static("a@b"));
    assert_eq!(worker.ask(nonsense).await.code(), "invalid_request");
    let mut old = bare(request("GET", "/healthz"));
    old.headers_mut().remove(HOST);
    *old.version_mut() = Version::HTTP_10;
    assert_eq!(worker.ask(old).await.status, StatusCode::OK);
}

#[tokio::test]
async fn while_redis_is_away_status_is_told_and_tokens_are_not() {
    let worker = Worker::without_redis("");
    let status = worker.ask(bare(request("GET", "/v1/credentials/wx-test"))).await;
    assert_eq!(status.status, StatusCode::OK);
    assert!(String::from_utf8_lossy(&status.body).contains("\"known\":false"));
    let token = worker.ask(bare(request("GET", "/v1/credentials/wx-test/token"))).await;
    assert_eq!(token.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(token.code(), "store_unavailable");
    for body in ["", "{\"force\": true}"] {
        let refresh = request("POST", "/v1/credentials/wx-test/refresh");
        let refresh = refresh.header(CONTENT_TYPE, "application/json; charset=utf-8");
        let refresh = worker.ask(refresh.body(Body::from(body)).unwrap()).await;
        assert_eq!(refresh.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refresh.code(), "store_unavailable");
    }
    let ready = worker.ask(bare(request("GET", "/readyz"))).await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let live = worker.ask(bare(request("GET", "/healthz"))).await;
    assert_eq!(live.status, StatusCode::OK);
}

/// A call that only reads a body, and one each that never ends and that breaks.
fn odd_calls() -> Router {
    let router = Router::new()
        .route("/body", post(async |_: request::Body<RefreshBody>| "read"))
        .route("/never", get(std::future::pending::<()>))
        .route("/broken", get(async || -> &'static str { panic!("a-token in the message") }));
    around(router, Duration::from_secs(50))
}

fn flood(kib: Option<usize>) -> (Request, Arc<AtomicUsize>) {
    let read_kib = Arc::<AtomicUsize>::default();
    let body = Body::new(Flood { kib, read_kib: Arc::clone(&read_kib) });
    let call = request("POST", "/body").header(CONTENT_TYPE, "application/json");
    (call.body(body).unwrap(), read_kib)
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit_and_not_beyond() {
    let (call, read_kib) = flood(Some(1_000_000));
    let answer = ask(&odd_calls(), call).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.code(), "invalid_request");
    assert!(String::from_utf8_lossy(&answer.body).contains("64 KiB"));
    assert_eq!(read_kib.load(Ordering::Relaxed), 65, "KiB");

    let (mut call, read_kib) = flood(Some(1_000_000));
    call.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(1_024_000_000));
    assert_eq!(ask(&odd_calls(), call).await.code(), "invalid_request");
    assert_eq!(read_kib.load(Ordering::Relaxed), 0, "an announced flood is not read at all");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_and_a_call_that_does_not_end_are_given_up() {
    let begun = Instant::now();
    let answer = ask(&odd_calls(), flood(None).0).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answer.code(), "slow_request");
    assert_eq!(begun.elapsed().as_secs(), 10);
    let answer = ask(&odd_calls(), bare(request("GET", "/never"))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.code(), "timeout");
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn a_call_that_panics_is_answered_all_the_same() {
    let answer = ask(&odd_calls(), bare(request("GET", "/broken"))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.code(), "internal");
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    assert!(!String::from_utf8_lossy(&answer.body).contains("a-token"));
}
