//! Who may make which call: every call of the worker, with every bearer token and without, and what each is answered.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use axum::extract::Request;
use http::StatusCode;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;

use super::routes::{POST, ROUTES};
use super::testing::{ID, Worker, bare, request};

pub(super) const TOKENS: &str = "
[[http.tokens]]
name = \"reader\"
scope = \"read\"
secret = \"a-bearer-token-to-read\"
[[http.tokens]]
name = \"shop\"
scope = \"token\"
secret = \"a-bearer-token-for-tokens\"
[[http.tokens]]
name = \"operator\"
scope = \"admin\"
secret = \"a-bearer-token-for-all\"
[[http.tokens]]
name = \"guessed\"
scope = \"read\"
secret = \"1234\"
";

const READER: &str = "Bearer a-bearer-token-to-read";
const UNKNOWN: &str = "Bearer a-bearer-token-that-is-unknown";
const SHORT: &str = "Bearer 1234";

/// Who asks, in the order of the columns.
const CALLERS: [Option<&str>; 5] = [
    None,
    Some(UNKNOWN),
    Some(READER),
    Some("Bearer a-bearer-token-for-tokens"),
    Some("Bearer a-bearer-token-for-all"),
];

/// Method and path; what each of the callers is answered; and what anybody is where no bearer token is configured.
/// Whoever may make a call gets that far: there is no such file, and no Redis, so some calls fail later.
#[rustfmt::skip]
const TABLE: [(&str, &str, [u16; 5], u16); 21] = [
    //                                           none unknown read token admin  without tokens
    ("GET", "/",                                 [200, 200, 200, 200, 200], 200),
    ("GET", "/dashboard/{version}/{file}",       [404, 404, 404, 404, 404], 404),
    ("GET", "/healthz",                          [200, 200, 200, 200, 200], 200),
    ("GET", "/readyz",                           [503, 503, 503, 503, 503], 503),
    ("GET", "/metrics",                          [200, 200, 200, 200, 200], 200),
    ("GET", "/openapi.json",                     [200, 200, 200, 200, 200], 200),
    ("GET", "/cgi-bin/token",                    [404, 404, 404, 404, 404], 404),
    ("GET", "/cgi-bin/ticket/getticket",         [404, 404, 404, 404, 404], 404),
    ("POST", "/cgi-bin/stable_token",            [404, 404, 404, 404, 404], 404),
    ("GET", "/v1/worker",                        [401, 401, 200, 200, 200], 200),
    ("GET", "/v1/events",                        [401, 401, 200, 200, 200], 200),
    ("GET", "/v1/credentials",                   [401, 401, 200, 200, 200], 200),
    ("GET", "/v1/credentials/{id}",              [401, 401, 200, 200, 200], 200),
    ("GET", "/v1/history",                       [401, 401, 503, 503, 503], 503),
    ("GET", "/v1/credentials/{id}/history",      [401, 401, 503, 503, 503], 503),
    ("GET", "/v1/credentials/{id}/token",        [401, 401, 403, 503, 503], 503),
    ("POST", "/v1/credentials/{id}/report",      [401, 401, 403, 400, 400], 400),
    ("POST", "/v1/credentials/{id}/jssdk-signature", [401, 401, 403, 404, 404], 404),
    ("POST", "/v1/credentials/{id}/refresh",     [401, 401, 403, 403, 503], 503),
    ("POST", "/v1/credentials/{id}/pause",       [401, 401, 403, 403, 503], 503),
    ("POST", "/v1/credentials/{id}/resume",      [401, 401, 403, 403, 503], 503),
];

fn call(method: &str, path: &str, bearer: Option<&str>) -> Request {
    let call = request(method, &path.replace("{id}", ID));
    bare(bearer.into_iter().fold(call, |call, bearer| call.header(AUTHORIZATION, bearer)))
}

#[test]
fn every_call_is_in_the_table() {
    let known = ROUTES.iter().map(|route| {
        let method = if route.method == POST { "POST" } else { "GET" };
        (method, route.path)
    });
    let known: BTreeSet<_> = known.collect();
    let audited: BTreeSet<_> = TABLE.iter().map(|(method, path, ..)| (*method, *path)).collect();
    assert_eq!(audited, known);
    assert_eq!(known.len(), ROUTES.len(), "one is there twice");
}

#[tokio::test]
async fn every_caller_is_answered_as_the_table_says() {
    let worker = Worker::without_redis(TOKENS);
    for (method, path, expected, _) in TABLE {
        for (bearer, expected) in CALLERS.into_iter().zip(expected) {
            let answer = worker.ask(call(method, path, bearer)).await;
            assert_eq!(answer.status, expected, "{method} {path} {bearer:?}: {answer:?}");
            match expected {
                401 => {
                    assert_eq!(answer.code(), "unauthorized");
                    assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer");
                }
                403 => assert_eq!(answer.code(), "forbidden"),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn without_tokens_every_call_is_open_to_loopback() {
    let worker = Worker::without_redis("");
    for (method, path, _, expected) in TABLE {
        for bearer in CALLERS {
            let answer = worker.ask(call(method, path, bearer)).await;
            assert_eq!(answer.status, expected, "{method} {path} {bearer:?}: {answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_bearer_tokens_are_limited_by_address_and_right_ones_are_not_unless_they_are_short() {
    let worker = Worker::without_redis(TOKENS);
    let (here, elsewhere) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let ask = async |address, bearer| {
        worker.ask_from(address, call("GET", "/v1/credentials", bearer)).await
    };
    for _within_the_limit in 0..20 {
        assert_eq!(ask(here, None).await.status, 401);
        assert_eq!(ask(here, Some(SHORT)).await.status, 200);
        let answer = ask(here, Some(UNKNOWN)).await;
        assert_eq!((answer.status, &*answer.code()), (StatusCode::UNAUTHORIZED, "unauthorized"));
    }
    for wrong in [UNKNOWN, "Bearer", "Basic dXNlcjpwYXNz", "", SHORT] {
        let answer = ask(here, Some(wrong)).await;
        let expected = (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts");
        assert_eq!((answer.status, &*answer.code()), expected, "{wrong}");
        assert_eq!(answer.headers[RETRY_AFTER], "3");
    }
    assert_eq!(ask(here, Some(READER)).await.status, 200, "whoever has a long one is not held up");
    assert_eq!(ask(here, None).await.status, 401, "nor is who has none told another thing");
    assert_eq!(ask(elsewhere, Some(UNKNOWN)).await.status, 401);
    assert_eq!(ask(elsewhere, Some(SHORT)).await.status, 200);
    let page = worker.ask_from(here, call("GET", "/", Some(UNKNOWN))).await;
    assert_eq!(page.status, 200, "what needs no bearer token takes no notice of one");

    tokio::time::advance(std::time::Duration::from_secs(3)).await;
    assert_eq!(ask(here, Some(SHORT)).await.status, 200);
    assert_eq!(ask(here, Some(UNKNOWN)).await.status, 401);
    assert_eq!(ask(here, Some(SHORT)).await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn wrong_secrets_of_services_are_limited_as_wrong_bearer_tokens_are() {
    let service = |name: &str, secret: &str| {
        format!("[[http.wechat]]\nname = {name:?}\nsecret = {secret:?}\n")
    };
    let long = "the-secret-of-the-shop";
    let worker = Worker::without_redis(&(service("shop", long) + &service("cms", "1234")));
    let here = Ipv4Addr::new(192, 0, 2, 1);
    let errcode = async |address, secret| {
        let path =
            format!("/cgi-bin/token?grant_type=client_credential&appid={ID}&secret={secret}");
        let answer = worker.ask_from(address, call("GET", &path, None)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_slice::<Value>(&answer.body).unwrap()["errcode"].as_i64().unwrap()
    };
    for _within_the_limit in 0..20 {
        assert_eq!(errcode(here, "5678").await, 40125);
    }
    for wrong in ["5678", "1234"] {
        assert_eq!(errcode(here, wrong).await, 45011, "{wrong}");
    }
    assert_eq!(errcode(Ipv4Addr::new(192, 0, 2, 2), "5678").await, 40125);
    // There is no Redis, and so no token.
    assert_eq!(errcode(here, long).await, -1, "whoever has a long one is not held up");
}
