//! The description is true: it has every call and no other, and what it says of bad requests is what they are answered.
//! That any other answer of a test is described, too, is seen to where the tests ask.

use std::collections::BTreeSet;

use axum::body::Body;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use serde_json::Value;

use super::guard::Access::Scoped;
use super::openapi::document;
use super::problem::Code;
use super::routes::{POST, ROUTES, Route};
use super::routes_tests::{method, path};
use super::scopes_tests::TOKENS;
use super::testing::{Flood, Worker, bare, request};

const CODES: [Code; 14] = [
    Code::InvalidRequest,
    Code::Unauthorized,
    Code::Forbidden,
    Code::NotFound,
    Code::UnknownCredential,
    Code::MethodNotAllowed,
    Code::SlowRequest,
    Code::TooManyAttempts,
    Code::Internal,
    Code::RefusedByUpstream,
    Code::NoValidToken,
    Code::Overloaded,
    Code::StoreUnavailable,
    Code::Timeout,
];

fn operation<'a>(document: &'a Value, route: &Route) -> &'a Value {
    &document["paths"][route.path][method(route).to_ascii_lowercase()]
}

/// The codes that are described, each at its status.
fn codes(operation: &Value) -> Vec<Code> {
    let told = |code: &Code| {
        let reply = &operation["responses"][code.status().as_str()];
        let schema = &reply["content"]["application/problem+json"]["schema"]["allOf"][1];
        let codes = schema["properties"]["code"]["enum"].as_array();
        codes.is_some_and(|codes| codes.contains(&code.as_str().into()))
    };
    CODES.into_iter().filter(told).collect()
}

/// Every value under a key of that name, however deep.
fn values<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if name == key {
                    found.push(value);
                }
                values(value, key, found);
            }
        }
        Value::Array(array) => array.iter().for_each(|value| values(value, key, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_description_is_served_and_has_every_call_and_no_other() {
    let worker = Worker::without_redis(TOKENS);
    let answer = worker.ask(bare(request("GET", "/openapi.json"))).await;
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, calls)| {
            let calls = calls.as_object().unwrap().keys();
            calls.map(|method| (method.to_ascii_uppercase(), path.clone()))
        })
        .collect();
    let served = ROUTES.iter().map(|route| (method(route).to_owned(), route.path.to_owned()));
    assert_eq!(described, served.collect());
    let names = ROUTES.iter().map(|route| route.about.name).collect::<BTreeSet<_>>();
    assert_eq!(names.len(), ROUTES.len(), "{names:?}");
}

#[test]
fn all_that_the_description_refers_to_is_there_and_all_that_is_there_is_referred_to() {
    let document = document();
    let mut references = Vec::new();
    values(&document, "$ref", &mut references);
    let referred: BTreeSet<&str> =
        references.iter().map(|name| name.as_str().unwrap().rsplit('/').next().unwrap()).collect();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert_eq!(referred, schemas.keys().map(String::as_str).collect());
}

#[test]
fn the_parameters_of_an_address_are_those_that_are_described() {
    let document = document();
    for route in &ROUTES {
        let named: BTreeSet<&str> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let parameters = operation(&document, route)["parameters"].as_array();
        let parameters = parameters.into_iter().flatten().filter(|one| one["in"] == "path");
        let described = parameters.map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(named, described, "{}", route.path);
    }
}

#[test]
fn no_example_looks_like_a_token_or_a_secret() {
    let document = document();
    let mut examples = Vec::new();
    for key in ["example", "examples", "default"] {
        values(&document, key, &mut examples);
    }
    let texts = examples.iter().flat_map(|value| match value {
        Value::Array(values) => values.clone(),
        value => vec![(*value).clone()],
    });
    for text in texts {
        let known = ["wx0123456789abcdef", "0123456789abcdef", "10s"];
        assert!(!text.is_string() || known.contains(&text.as_str().unwrap()), "{text}");
    }
}

#[tokio::test]
async fn what_is_said_of_bad_requests_is_what_they_are_answered() {
    let guarded = Worker::without_redis(TOKENS);
    let open = Worker::without_redis("");
    let document = document();
    for route in &ROUTES {
        let operation = operation(&document, route);
        let codes = codes(operation);
        let scope = match route.access {
            Scoped(scope) => Some(scope.as_str()),
            _ => None,
        };
        assert_eq!(operation["security"][0]["bearer"][0].as_str(), scope, "{}", route.path);
        let has = |code| codes.contains(&code);
        assert_eq!(has(Code::Unauthorized), scope.is_some(), "{}", route.path);
        assert_eq!(has(Code::TooManyAttempts), scope.is_some(), "{}", route.path);
        assert_eq!(has(Code::UnknownCredential), route.path.contains("{id}"), "{}", route.path);
        assert_eq!(has(Code::SlowRequest), route.method == POST, "{}", route.path);
        for code in codes {
            let call = |path: &str| {
                let call = request(method(route), path).header(CONTENT_TYPE, "application/json");
                call.header(AUTHORIZATION, "Bearer a-bearer-token-for-all")
            };
            let report = route.path.ends_with("/report");
            let body = || Body::from(if report { "{\"token\": \"a\"}" } else { "" });
            let answer = match code {
                Code::InvalidRequest => {
                    let mut twice = bare(call(&path(route)));
                    twice.headers_mut().append(HOST, HeaderValue::from_static("localhost"));
                    guarded.ask(twice).await
                }
                Code::Unauthorized => guarded.ask(bare(request(method(route), &path(route)))).await,
                Code::Forbidden => {
                    open.ask(bare(call(&path(route)).header(ORIGIN, "https://evil.example"))).await
                }
                Code::NotFound => guarded.ask(bare(call(&path(route)))).await,
                Code::UnknownCredential => {
                    let call =
                        call(&route.path.replace("{id}", "a b".replace(' ', "%20").as_str()));
                    guarded.ask(call.body(body()).unwrap()).await
                }
                // The account has no tickets.
                Code::StoreUnavailable if route.path.ends_with("/jssdk-signature") => continue,
                Code::StoreUnavailable if scope != Some("read") => {
                    guarded.ask(call(&path(route)).body(body()).unwrap()).await
                }
                // Whoever listens, or asks for a token, meets these in the tests of whole clusters; the others are defects,
                // time-outs and the end of a worker.
                Code::Internal
                | Code::MethodNotAllowed
                | Code::NoValidToken
                | Code::Overloaded
                | Code::RefusedByUpstream
                | Code::SlowRequest
                | Code::StoreUnavailable
                | Code::Timeout
                | Code::TooManyAttempts => continue,
            };
            assert_eq!(answer.code(), code.as_str(), "{}", route.path);
            assert_eq!(answer.status, code.status(), "{}", route.path);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_answered_as_described() {
    let worker = Worker::without_redis("");
    for route in ROUTES.iter().filter(|route| route.method == POST) {
        let flood = Flood { kib: None, read_kib: std::sync::Arc::default() };
        let call = request("POST", &path(route)).header(CONTENT_TYPE, "application/json");
        let answer = worker.ask(call.body(Body::new(flood)).unwrap()).await;
        assert_eq!(answer.code(), "slow_request", "{}", route.path);
    }
}
