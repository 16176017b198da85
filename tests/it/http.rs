//! The HTTP interface of real workers: scopes, the token, sign-ins that fail, and a Redis that is away.

use serde_json::{Value, json};
use zhongkong_simulator::Scope;
use zhongkong_testkit::cluster::TOKEN_KEY;
use zhongkong_testkit::http::{Answer, Request};
use zhongkong_testkit::{APP_ID, Cluster, ClusterBuilder, SECRET};

use crate::setup::{cluster, ms, refresh_at, until};
use crate::wire::Way;

const READ: &str = "a-bearer-token-to-read";
const TOKEN: &str = "a-bearer-token-for-tokens";
const ADMIN: &str = "a-bearer-token-for-all";

const ALL: &str = "/v1/credentials";
const ONE: &str = "/v1/credentials/wx-test";
const TOKEN_OF: &str = "/v1/credentials/wx-test/token";
const REFRESH: &str = "/v1/credentials/wx-test/refresh";
const PAUSE: &str = "/v1/credentials/wx-test/pause";
const RESUME: &str = "/v1/credentials/wx-test/resume";

fn with_bearer_tokens() -> ClusterBuilder {
    let token = |name: &str, scope: &str, secret: &str| {
        format!("[[http.tokens]]\nname = {name:?}\nscope = {scope:?}\nsecret = {secret:?}\n")
    };
    let tokens =
        [("watcher", "read", READ), ("shop", "token", TOKEN), ("operator", "admin", ADMIN)];
    let toml = tokens.map(|(name, scope, secret)| token(name, scope, secret)).concat();
    at_rest().toml(&toml)
}

/// One worker, whose token falls due after every test's end.
fn at_rest() -> ClusterBuilder {
    cluster().workers(1).life(ms(600_000))
}

async fn ask(
    cluster: &Cluster,
    method: &'static str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let url = format!("{}{path}", cluster.workers()[0].http_url());
    let request = Request::new(method, &url);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.unwrap()
}

/// The answer is a problem with this code.
#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.json()["code"]), (status, &code.into()), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_needs_its_scope_and_an_admins_call_is_logged_by_name() {
    let cluster = with_bearer_tokens().env("RUST_LOG", "trace").start().await;
    cluster.settle().await;
    let read = [401, 401, 200, 200, 200];
    let open = [200; 5];
    for (method, path, expected) in [
        ("GET", ALL, read),
        ("GET", ONE, read),
        ("GET", TOKEN_OF, [401, 401, 403, 200, 200]),
        ("POST", REFRESH, [401, 401, 403, 403, 200]),
        ("POST", PAUSE, [401, 401, 403, 403, 200]),
        ("POST", RESUME, [401, 401, 403, 403, 200]),
        ("GET", "/v1/credentials/wx-test/history", read),
        ("GET", "/v1/history", read),
        ("GET", "/v1/worker", read),
        ("GET", "/", open),
        ("GET", "/healthz", open),
        ("GET", "/readyz", open),
        ("GET", "/metrics", open),
    ] {
        let bearers = [None, Some("unknown-bearer-token"), Some(READ), Some(TOKEN), Some(ADMIN)];
        for (bearer, expected) in bearers.into_iter().zip(expected) {
            let bearer = bearer.map(|bearer| format!("Bearer {bearer}"));
            let headers = bearer.as_deref().map(|bearer| ("Authorization", bearer));
            let answer = ask(&cluster, method, path, headers.as_slice()).await;
            assert_eq!(answer.status, expected, "{method} {path} {bearer:?}: {answer:?}");
            match expected {
                401 => problem(&answer, 401, "unauthorized"),
                403 => problem(&answer, 403, "forbidden"),
                _ => {}
            }
        }
    }
    let said = cluster.output();
    let asked: Vec<&str> = said.lines().filter(|l| l.contains("asks for a refresh")).collect();
    assert_eq!(asked.len(), 1, "only who may is heard: {asked:?}");
    assert!(asked[0].contains("operator") && asked[0].contains(APP_ID), "{asked:?}");
    for secret in [READ, TOKEN, ADMIN, SECRET, &cluster.token().await.unwrap()] {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_over_http_lasts_until_it_is_lifted_and_readers_keep_their_token() {
    let cluster = at_rest().start().await;
    cluster.settle().await;
    let token = cluster.token().await;
    let calls = cluster.simulator.calls(APP_ID);
    for _again in 0..2 {
        let paused = ask(&cluster, "POST", PAUSE, &[]).await;
        let kind = &paused.json()["kinds"][0];
        assert_eq!((paused.status, &kind["status"]), (200, &"paused".into()), "{paused:?}");
        assert_eq!(kind["refresh_in"], Value::Null, "nobody knows when");
        assert_eq!((&kind["valid"], &kind["key"]), (&true.into(), &TOKEN_KEY.into()));
    }
    let forced = refresh_at(&cluster, 0, true).await;
    assert_eq!((forced.0, &forced.1["outcome"]), (200, &"paused".into()), "{forced:?}");
    assert_eq!((cluster.token().await, cluster.simulator.calls(APP_ID)), (token.clone(), calls));

    let resumed = ask(&cluster, "POST", RESUME, &[]).await;
    assert_eq!(resumed.json()["kinds"][0]["status"], "ok", "{resumed:?}");
    // What was asked for during the pause is owed.
    until(&cluster, "the refresh that was forced", async || cluster.token().await != token).await;

    for path in ["/v1/credentials/nobody/pause", "/v1/credentials/nobody/resume"] {
        problem(&ask(&cluster, "POST", path, &[]).await, 404, "unknown_credential");
    }
    let url = format!("{}{PAUSE}", cluster.workers()[0].http_url());
    let odd = Request::new("POST", &url).json(&json!({ "kind": "access_token" })).send().await;
    problem(&odd.unwrap(), 400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_tells_who_it_is_who_lives_and_who_asks() {
    let cluster = with_bearer_tokens().workers(2).start().await;
    cluster.settle().await;
    let bearer = format!("Bearer {READ}");
    until(&cluster, "both live", async || {
        let answer = ask(&cluster, "GET", "/v1/worker", &[("Authorization", &bearer)]).await;
        let told = answer.json();
        assert_eq!((&told["worker"], &told["store_up"]), (&"worker-1".into(), &true.into()));
        assert_eq!(told["caller"], json!({ "name": "watcher", "scope": "read" }));
        let living = told["living"].as_array().unwrap();
        let this: Vec<(&Value, &Value)> =
            living.iter().map(|peer| (&peer["name"], &peer["this"])).collect();
        this == [(&"worker-1".into(), &true.into()), (&"worker-2".into(), &false.into())]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn advice_is_in_the_language_that_the_caller_prefers() {
    let mut cluster = cluster().workers(1).prepare().await;
    cluster.simulator.set_outcome(40125, Scope::account(APP_ID));
    cluster.start_worker(1).wait_ready().await;
    for (accepted, word) in [("zh-CN,zh;q=0.9,en;q=0.8", "密钥文件"), ("en", "AppSecret into")]
    {
        until(&cluster, "advice", async || {
            let answer = ask(&cluster, "GET", ONE, &[("Accept-Language", accepted)]).await;
            let advice = &answer.json()["kinds"][0]["refusals"][0]["advice"];
            advice.as_str().is_some_and(|advice| advice.contains(word))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_over_http_is_the_one_in_redis_and_its_tag_the_generation() {
    let cluster = at_rest().start().await;
    cluster.settle().await;
    let answer = ask(&cluster, "GET", TOKEN_OF, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let mut fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["expires_at", "expires_in", "generation", "id", "kind", "token"]);
    assert_eq!((&body["id"], &body["kind"]), (&APP_ID.into(), &"access_token".into()));
    assert_eq!(body["token"].as_str().map(str::to_owned), cluster.token().await);
    assert_eq!(body["generation"], cluster.state_number("generation").await);
    assert_eq!(body["expires_at"], cluster.state_number("expires_at_ms").await / 1_000);
    assert!((1..=600).contains(&body["expires_in"].as_u64().unwrap()), "{body}");
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", body["generation"]));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let known = [("If-None-Match", &*tag)];
    // A state that was lost counts anew: the number alone must not keep a dead token in use.
    let again = ask(&cluster, "GET", &format!("{TOKEN_OF}?kind=access_token"), &known).await;
    assert_eq!((again.status, again.json()), (200, body.clone()), "{again:?}");
    let head = format!("HEAD {TOKEN_OF} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let head = Way::plain(&cluster.workers()[0]).ask(head.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains(&format!("etag: {tag}\r\n")), "{head}");

    let (status, refreshed) = refresh_at(&cluster, 0, true).await;
    assert_eq!((status, &refreshed["outcome"]), (200, &"refreshed".into()), "{refreshed}");
    let another = ask(&cluster, "GET", TOKEN_OF, &known).await;
    assert_eq!((another.status, &another.json()["token"]), (200, &refreshed["token"]));
    assert_ne!(another.header("etag"), Some(&*tag));

    let foreign = ask(&cluster, "GET", TOKEN_OF, &[("Host", "evil.example")]).await;
    problem(&foreign, 403, "forbidden");
    assert!(!foreign.body.contains(refreshed["token"].as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_token_the_answer_says_when_to_come_back() {
    let mut cluster = cluster().workers(1).prepare().await;
    cluster.simulator.set_outcome(40125, Scope::account(APP_ID));
    cluster.start_worker(1).wait_ready().await;
    until(&cluster, "the wait is the refusal's", async || {
        let state = cluster.state().await;
        let answer = ask(&cluster, "GET", TOKEN_OF, &[]).await;
        problem(&answer, 503, "no_valid_token");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(wait >= 1 && answer.json()["retry_after"] == wait, "{answer:?}");
        let (seconds, _micros): (u64, u64) = cluster.redis.command(&["TIME"]).await;
        let retry_at: u64 = state.get("retry_at_ms").map_or(0, |at| at.parse().unwrap());
        state.contains_key("refusals")
            && wait.abs_diff((retry_at / 1_000).saturating_sub(seconds)) <= 1
    })
    .await;

    let refused = ask(&cluster, "POST", REFRESH, &[]).await;
    problem(&refused, 502, "refused_by_upstream");
    assert_eq!(refused.json()["upstream"]["code"], 40125);
    assert!(!refused.body.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_there_is_503_and_no_upstream_call() {
    let mut cluster = at_rest().start().await;
    cluster.settle().await;
    let token = cluster.token().await.unwrap();
    cluster.redis.kill().await;
    let calls = cluster.simulator.calls(APP_ID);
    let json = ("content-type", "application/json");
    for (method, path, body) in [
        ("GET", TOKEN_OF, None),
        ("POST", REFRESH, None),
        ("POST", REFRESH, Some(json!({ "force": false }))),
        ("POST", REFRESH, Some(json!({ "force": true }))),
    ] {
        let url = format!("{}{path}", cluster.workers()[0].http_url());
        let request = Request::new(method, &url).header(json.0, json.1);
        let request = request.body(body.map(|body: Value| body.to_string()).unwrap_or_default());
        let answer = request.send().await.unwrap();
        problem(&answer, 503, "store_unavailable");
        assert!(!answer.body.contains(&token), "{answer:?}");
    }
    assert_eq!(ask(&cluster, "GET", ONE, &[]).await.status, 200, "status is told from memory");
    assert_eq!(ask(&cluster, "GET", "/healthz", &[]).await.status, 200);
    assert_eq!(cluster.simulator.calls(APP_ID), calls, "the upstream was not called");
    cluster.redis.restart().await;
    cluster.settle().await;
    assert_eq!(ask(&cluster, "GET", TOKEN_OF, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_wrong_bearer_tokens_are_told_of_once_counted_and_refused_and_a_right_one_is_not() {
    let cluster = with_bearer_tokens().start().await;
    cluster.settle().await;
    let said = "many calls from this address have a wrong bearer token";
    for nth in 1..=25 {
        let answer =
            ask(&cluster, "GET", ALL, &[("Authorization", "Bearer a-guess-of-a-token")]).await;
        // One more may be looked at every three seconds.
        if nth <= 20 {
            problem(&answer, 401, "unauthorized");
            assert!(!cluster.output().contains(said));
        } else if answer.status == 429 {
            problem(&answer, 429, "too_many_attempts");
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=3).contains(&wait), "{answer:?}");
        } else {
            problem(&answer, 401, "unauthorized");
        }
    }
    let right = format!("Bearer {READ}");
    assert_eq!(ask(&cluster, "GET", ALL, &[("Authorization", &right)]).await.status, 200);
    let output = cluster.output();
    let told: Vec<&str> = output.lines().filter(|line| line.contains(said)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("WARN") && told[0].contains("address=127.0.0.1"), "{told:?}");
    assert!(!output.contains("a-guess-of-a-token"));
    let metrics = ask(&cluster, "GET", "/metrics", &[]).await.body;
    assert!(metrics.contains("\nzhongkong_http_failed_sign_ins_total 25\n"), "{metrics}");
}
